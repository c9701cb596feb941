# SPDX-License-Identifier: MIT
# Checks for examples.sh: uploads to disk.

# How many bytes the upload of a name has brought: has_come NAME BYTES
has_come() {
    local told
    told=$(curl -s "${url}progress/$1")
    [[ "$told" =~ ^\{\"received\":([0-9]+),\"length\":([0-9]+|null)\}$ ]] && [ "${BASH_REMATCH[1]}" -ge "$2" ]
}
has_ended() { [ "$(curl -s -o /dev/null -w '%{http_code}' "${url}progress/$1")" = 404 ]; }
sent_whole() { cmp -s "$folder/up8" "$folder/uploads/$1"; }

check_upload() {
    local kept=$folder/uploads status='%{http_code}' upload
    rm -rf "$kept"
    mkdir "$kept"
    head -c 8000000 /dev/urandom > "$folder/up8"
    head -c 4000000 /dev/urandom > "$folder/up4"
    start 1 "$kept" 0 9m
    check_whole_uploads
    check_upload_under_way
    # Over the limit: told beforehand, nothing is sent; else at the limit.
    cat "$folder/up8" "$folder/up4" > "$folder/up12"
    local quiet=(curl -s -o "$folder/answer" -w "$status %{size_upload}")
    same "a long one" "$("${quiet[@]}" -T "$folder/up12" "${url}long")" "413 0"
    like "a long one in chunks" "$("${quiet[@]}" -T - "${url}long" < "$folder/up12")" '^413 '
    same "names that are none" "$(for name in .a a%2fb ..%2fa a%20b '' .slow.part progress/a; do
        curl -s -o /dev/null -w "$status " --path-as-is -X PUT --data-binary x "$url$name"; done)" \
        "404 404 404 404 404 404 404 "
    mkdir "$kept/.odd.part"
    same "what cannot be opened" "$("${quiet[@]}" -T "$folder/up4" "${url}odd") $(
        "${quiet[@]}" -T "$folder/up4" "${url}odd")" "500 0 500 0"
    rmdir "$kept/.odd.part"
    same "another method" "$(curl -s -o /dev/null -w "$status" -X DELETE "${url}up8")" 405
    same "what is kept" "$(ls -A "$kept" | tr '\n' ' ')" "chunked post up4 up8 "
    stop
    check_full_disk
}

check_whole_uploads() {
    like "an upload" "$(curl -si -T "$folder/up8" "$url" | tr -d '\r' | tr '\n' ' ')" \
        '^HTTP/1.1 100 Continue  HTTP/1.1 201 Created .*Location: /up8 .* 8000000 bytes $'
    same "with POST" "$(curl -s -w "$status" --data-binary "@$folder/up8" "${url}post")" $'8000000 bytes\n201'
    same "in chunks" "$(curl -s -w "$status" -T - "${url}chunked" < "$folder/up8")" $'8000000 bytes\n201'
    same "again" "$(curl -s -w "$status" -T "$folder/up8" "${url}up8")" $'8000000 bytes\n200'
    same "an empty one" "$(curl -s -w "$status" -X PUT --data-binary '' "${url}empty")" $'0 bytes\n201'
    for upload in up8 post chunked; do sent_whole "$upload" || fail "$upload differs"; done
    curl -s "${url}up8" | cmp -s - "$folder/up8" || fail "the answer to GET /up8 differs"
    [ -f "$kept/empty" ] && rm "$kept/empty"
}

# A slow client: its progress is told, its name taken, its file not yet there; when it leaves, nothing is.
check_upload_under_way() {
    curl -s --limit-rate 200k -T "$folder/up8" -o /dev/null "${url}slow" &
    upload=$!
    wait_for "progress" has_come slow 65536
    like "progress" "$(curl -s "${url}progress/slow")" '"length":8000000}$'
    same "the file meanwhile" "$(curl -s -o /dev/null -w "$status" "${url}slow")" 404
    same "the name meanwhile" "$(curl -s -o /dev/null -w "$status %{size_upload}" -H 'Expect: 100-continue' \
        -T "$folder/up8" "${url}slow")" "409 0"
    [ -f "$kept/.slow.part" ] || fail "no part beside the target"
    kill "$upload"
    wait_for "the end of it" has_ended slow
    [ ! -e "$kept/.slow.part" ] && [ ! -e "$kept/slow" ] || fail "a part is left: $(ls -A "$kept")"
    # In chunks the length is not known, and a whole one replaces the old in one step.
    curl -s -T "$folder/up4" "${url}up4" > /dev/null
    curl -s --limit-rate 1M -T - "${url}up4" < "$folder/up8" > "$folder/answer" &
    upload=$!
    wait_for "progress in chunks" has_come up4 65536
    like "its length" "$(curl -s "${url}progress/up4")" '"length":null}$'
    cmp -s "$folder/up4" "$kept/up4" || fail "the old file was touched before the new one was whole"
    wait "$upload"
    sent_whole up4 || fail "the new file differs"
}

# A limit on the size of files stands for a disk that gets full in the middle.
check_full_disk() {
    rm -rf "$kept"
    mkdir "$kept"
    trap '' XFSZ
    ulimit -S -f 5000
    start 1 "$kept" 0
    ulimit -S -f "$(ulimit -H -f)"
    trap - XFSZ
    for _ in 1 2 3; do
        same "no room" "$(curl -s -o "$folder/answer" -w "$status" -T "$folder/up8" "${url}up8")" 507
        wait_for "the end of it" has_ended up8
        same "what is left" "$(ls -A "$kept")" ""
    done
    same "a smaller one" "$(curl -s -w "$status" -T "$folder/up4" "$url")" $'4000000 bytes\n201'
    stop
}
