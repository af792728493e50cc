#!/usr/bin/env bash
# Verify one receipt with tools that are not ours: verify-with-openssl.sh RECEIPT TRUST (jq, openssl 3, coreutils; Ed25519)
set -euo pipefail
receipt=$1 trust=$2 work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
die() { echo "not verified: $1" >&2; exit 1; }
[[ $(jq -cS . "$receipt") == "$(cat "$receipt")" ]] || die "not in canonical form"
[[ $(jq .log.origin "$receipt") == "$(jq .origin "$trust")" ]] || die "of another log"
[[ $(jq -r .signature.algorithm "$receipt") == Ed25519 ]] || die "not signed with Ed25519"
id=$(jq .signature.key_id "$receipt")
key=$(jq -r ".keys[] | select(.key_id == $id and .algorithm == \"Ed25519\").public" "$trust")
{ printf 302A300506032B6570032100 | basenc --base16 -d; printf %s= "$key" | basenc --base64url -d; } >"$work/key" || die "unknown key"
value=$(jq -r .signature.value "$receipt")== && printf %s "$value" | basenc --base64url -d >"$work/signature" || die "not signed"
[[ $(basenc --base64url -w0 "$work/signature") == "$value" ]] || die "the signature is not in canonical form"
jq -cjS 'del(.signature.value)' "$receipt" >"$work/message"
openssl pkeyutl -verify -pubin -inkey "$work/key" -keyform DER -rawin -in "$work/message" -sigfile "$work/signature"
