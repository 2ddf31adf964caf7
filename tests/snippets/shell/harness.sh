set -euo pipefail
. ./snippet.sh

decoded() {
    [ "$1" = - ] || printf %s "$1" | base64 -d
}

while IFS=: read -r secret id timestamp signature body <&3; do
    decoded "$body" >body.json
    SECRET=$(decoded "$secret")
    code=0
    verify "$(decoded "$id")" "$(decoded "$timestamp")" "$(decoded "$signature")" body.json || code=$?
    [ "$code" = 0 ] && echo accepted || echo "refused $code"
done 3<&0 </dev/null
