#!/usr/bin/env bash
# check.sh BUNDLE FINGERPRINT: fifteen lines to read before you believe any other verifier. Ed25519, whole logs, no key
# revoked; what stands behind the newest checkpoint may have been cut off.
set -euo pipefail; bundle=$(realpath "$1"); cd "$(mktemp -d)"; die() { echo "not verified: $*" >&2; exit 1; }
sha() { sha256sum | head -c64; }; raw() { tr _- /+ <<<"$1$(printf %$((-${#1} & 3))s | tr ' ' =)" | base64 -d; }; of() { jq -r "$1" trust; }
signed() { { printf '0*0\5\6\3+ep\3!\0'; raw "$1"; } >key; openssl pkeyutl -verify -rawin -in text -sigfile sig -pubin -keyform DER -inkey key &>out || die "$2"; }
head -n-1 "$bundle" >all; [[ $(tail -n1 "$bundle") == "{\"lines\":$(wc -l <all),\"sha256\":\"$(sha <all)\"}" ]] || die "the file was changed"
sed -n 2p all | jq -r .trust >trust; sed -n 3p all | jq -r .checkpoint >note; sed '/^$/,$d' note >checkpoint
[[ $({ printf 'navicert/root/1\0'; jq -cjS .root trust; } | sha | head -c40) == "$(tr -d " " <<<"${2,,}")" ]] || die "it has another root"
{ printf 'navicert/trust/2\0'; jq -cjS 'del(.signature)' trust; } >text; raw "$(of .signature)" >sig; signed "$(of .root.public)" "trust file"
cp checkpoint text; sed -n 's/^— .* //p' note | head -n1 | base64 -d | tail -c+5 >sig; signed "$(of '.log[-1].public')" "checkpoint"
declare -A keys="($(of '.keys[] | @sh "[\(.key_id)]=\(.public)"'))"; n=0 head=$(printf %064d 0); while read -r entry; do
  { read -r id; read -r value; read -r prev; read -r next; read -r public; } < <(jq -r '.signature.key_id, .signature.value, .log.prev, .key.key_id, .key.public' <<<"$entry")
  printf %s "${entry/,\"value\":\"$value\"/}" >text; raw "$value" >sig; signed "${keys[$id]-}" "entry $((++n)): its signature"
  [[ $prev == "$head" ]] || die "entry $n: the one before it"; head=$(printf %s "$entry" | sha); [[ $next == null ]] || keys[$next]=$public; unset public
done < <(jq -r 'select(.entry).entry' all); [[ $(of '.revoked|length'),$(sed -n 1p all | jq .scope.log) == 0,true ]] || die "revoked keys, or a part of a log: take verify.sh"
[[ $n == "$(sed -n 1p all | jq .entries)" && $n -ge $(sed -n 2p checkpoint) ]] || die "entries are missing"
echo "verified: $n entries of $(of .origin), signed and in order; its checkpoint is of $(sed -n 2p checkpoint). verify.sh looks at the tree as well"
