#!/usr/bin/env bash
# verify.sh BUNDLE FINGERPRINT: verify a bundle of evidence with bash, openssl 3, jq and coreutils alone.
#
# Is the file whole? Did the root of that fingerprint sign the trust file, the log its newest checkpoint, and trusted
# keys the entries? Does the checkpoint cover the entries up to its size: in a bundle of the whole log all of them, in
# order, in others each by its proof (RFC 6962)? It ends with 0 and one line, or otherwise and with what is wrong.
set -eEuo pipefail; bundle=$(realpath "$1") wanted=$(tr -d " " <<<"${2,,}") head=$(printf %064d 0) n=0 tree=()
cd "$(mktemp -d)"; trap 'rm -r "$PWD"' EXIT
trap 'echo "not verified: it is not in the form of a bundle" >&2' ERR
die() { echo "not verified: $*" >&2; exit 1; }
sha() { sha256sum | head -c64; }; hex() { od -An -v -tx1 | tr -d ' \n'; }
unhex() { tr a-f A-F | basenc -d --base16; }; node() { unhex <<<"01$1$2" | sha; }; of() { jq -r "$1" trust; }
raw() { printf '%s%.*s' "$1" $((-${#1} & 3)) == | basenc -d --base64url; }
declare -A form=([Ed25519]=302a300506032b6570032100 [ES256]=3059301306072a8648ce3d020106082a8648ce3d030107034200)
# signed ALGORITHM PUBLIC: did that key sign the file `text`, with the signature in `sig` (P-256: r, s, or their DER)?
signed() {
  { unhex <<<"${form[$1]-}"; raw "$2"; } >key; local rs; rs=$(hex <sig)
  [[ $1 == Ed25519 || ${#rs} != 128 ]] || printf 'asn1=SEQ:s\n[s]\nr=INT:0x%.64s\ns=INT:0x%s\n' "$rs" "${rs:64}" |
    openssl asn1parse -genconf /dev/stdin -noout -out sig
  openssl pkeyutl -verify -rawin -in text -sigfile sig -pubin -keyform DER -inkey key &>out; }

[[ $(tail -n1 "$bundle") == "{\"lines\":$(head -n-1 "$bundle" | tee all | wc -l),\"sha256\":\"$(sha <all)\"}" ]] ||
  die "the file was changed or cut"
sed -n 2p all | jq -r .trust >trust
sed -n 3p all | jq -r .checkpoint >note; whole=$(sed -n 1p all | jq .scope.log)
[[ $({ printf 'navicert/root/1\0'; jq -cjS .root trust; } | sha | head -c40) == "$wanted" ]] ||
  die "it has another root"
{ printf 'navicert/trust/2\0'; jq -cjS 'del(.signature)' trust; } >text; raw "$(of .signature)" >sig
signed "$(of .root.algorithm)" "$(of .root.public)" || die "the trust file is not signed by its root"

size=$(sed -n '2{/^[0-9]\{1,18\}$/p}' note) root=$(sed -n 3p note | base64 -d | hex) good=
while read -r line; do while read -r key; do
  sed '/^$/,$d' note >text; base64 -d <<<"$line" | tail -c+5 >sig; if signed $key; then good=yes; fi
done < <(of ".revoked as \$r | .log[] | select([.key_id == (\$r[]? | select(.upto < $size).key_id)] | any | not)
  | \"\(.algorithm) \(.public)\""); done < <(sed -n 's/^— [^ ]* //p' note)
[[ $good ]] || die "the checkpoint is not signed by a log key of the trust file"

declare -A keys="($(of '.keys[] | @sh "[\(.key_id)]=\(.algorithm+" "+.public)"'))"
declare -A ends="($(of '.revoked[]? | @sh "[\(.key_id)]=\(.upto)"'))"
jq -r 'select(.entry) | (.entry | fromjson) as {$log, $signature, $key} | [($log.seq | floor), $log.prev,
  $signature.key_id, $signature.value, $key.key_id // 0, $key.algorithm // 0, $key.public // 0,
  "=\(.proof // [] | join(""))", .entry] | join(" ")' all >rows
[[ $(sed -n 1p all | jq .entries) == "$(wc -l <rows)" ]] || die "not every entry is here in full"
while read -r seq prev id value next algorithm public proof entry; do
  printf %s "${entry/,\"value\":\"$value\"/}" >text; raw "$value" >sig; leaf=$(printf '\0%s' "$entry" | sha)
  signed ${keys[$id]-- -} && ((seq <= ${ends[$id]-$seq})) || die "entry $seq: not signed by a key that is trusted there"
  [[ $next == 0 ]] || { keys[$next]="$algorithm $public"; keys[$id]="- -"; }
  if [[ $whole == true ]]; then
    [[ "$seq $prev" == "$((++n)) $head" ]] || die "entry $seq: it does not follow entry $((n - 1))"
    head=$(printf %s "$entry" | sha)
    for ((i = n - 1; n <= size && i & 1; i >>= 1)); do leaf=$(node "${tree[-1]}" "$leaf"); unset 'tree[-1]'; done
    if ((n <= size)); then tree+=("$leaf"); fi
  elif ((seq <= size)); then
    proof=$(base64 -d <<<"${proof#=}" | hex)
    for ((i = seq - 1, last = size - 1; last > 0; i >>= 1, last >>= 1)); do
      if ((i & 1)); then leaf=$(node "${proof::64}" "$leaf") proof=${proof:64}
      elif ((i < last)); then leaf=$(node "$leaf" "${proof::64}") proof=${proof:64}; fi
    done
    [[ $leaf == "$root" ]] || die "entry $seq: the checkpoint does not cover it"
  fi
done <rows
for ((i = ${#tree[@]} - 1; i > 0; i--)); do tree[i - 1]=$(node "${tree[i - 1]}" "${tree[i]}"); done
[[ $whole != true || ${tree[0]-} == "$root" ]] || die "the entries are not those that the checkpoint covers"
echo "verified: $(wc -l <rows) entries of $(of .origin), checkpoint of $size;" \
  "not looked at here: witnesses, times of keys, sessions, what completes what, disclosures, policies"
