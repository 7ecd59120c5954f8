# docs.sh - the documents follow the program: links resolve, and every command, scheme and gate key there is has its place in them.
. "$(dirname "$0")/helpers.bash"
ran=docs

documents=("$project"/README.md "$project"/DESIGN.md "$project"/docs/*.md "$project"/docs/*/*.md "$project"/models/*/README.md
  "$project"/data/README.md "$project"/tools/README.md)
links=0
for document in "${documents[@]}"; do
  while IFS= read -r target; do
    case $target in http://* | https://* | '#'*) continue ;; esac
    links=$((links + 1))
    [ -e "$(dirname "$document")/${target%%#*}" ] || fail "${document#"$project"/}: no file for the link $target"
  done < <(grep -oE '\]\([^) ]+\)' "$document" | sed -E 's/^\]\((.*)\)$/\1/')
done
[ "$links" -ge 20 ] || fail "only $links links found: has their form changed?"

# Commands that work have an example; those not built yet are named as such.
"$program" --help >help
built=$(sed -nE 's/^  ([a-z]+) +[a-z].*/\1/p' help | grep -vx pare)
[ "$(wc -l <<<"$built")" -ge 10 ] || fail "commands of pare --help: $built"
for command in $built; do
  grep -qE "pare $command( |\$)" "$project/docs/guide.md" "$project/README.md" || fail "no example of pare $command in guide or README"
done
for command in $(sed -n 's/^not built yet: //p' help); do
  grep -qF "\`$command\`" "$project/docs/guide.md" "$project/README.md" || fail "$command, not built yet, is not in guide or README"
done

"$program" schemes --json >schemes
for scheme in $(jq -r 'select(.available) | .name' schemes); do
  page=$scheme
  case $scheme in f32 | f16 | bf16) page=float ;; esac
  [ -f "$project/docs/schemes/$page.md" ] || fail "no docs/schemes/$page.md for scheme $scheme"
done
for arch in $("$program" models --json | jq -r .arch) bert; do
  [ -f "$project/docs/models/$arch.md" ] || fail "no docs/models/$arch.md"
done

keys=$(sed -nE 's/^ +\{"([A-Za-z0-9_]+)", GATE_.*/\1/p' "$project/src/report/gate_keys.c")
[ "$(wc -l <<<"$keys")" -ge 15 ] || fail "gate keys found: $keys"
for key in $keys; do
  grep -qF "\`$key\`" "$project/docs/gate.md" || fail "gate key $key is not in docs/gate.md"
done

# A page for strangers names no folder of the machine it was written on.
grep -nE '/(work|root|home|tmp)/' "${documents[@]}" && fail 'a path of one machine in the documents'
finish
