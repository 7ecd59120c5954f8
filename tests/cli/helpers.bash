# helpers.bash - sourced by the scripts beside it, which get PROGRAM and PROJECT_DIR. Each works in a directory of its
# own that is removed at the end; $TMPDIR inside it shows what the program leaves behind.
set -u
program=$(realpath "$1")
project=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
mkdir tmp files
export TMPDIR=$work/tmp PARE_MODELS=$project/models NO_COLOR=1
unset PARE_ISA
agnews_csv=$project/data/ag_news_test.csv
mnli_jsonl=$project/data/mnli_dev_2000.jsonl
failures=0

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# expect STATUS ARGUMENTS...: runs the program; output in out and err, what was run in $ran.
expect() {
  local wanted=$1
  shift
  ran="pare $*"
  "$program" "$@" >out 2>err </dev/null
  local status=$?
  if [ "$status" -ne "$wanted" ]; then
    fail "$ran: exit $status, expected $wanted"
    head -c 2000 err >&2
  fi
  # A failure says why on standard error; a success of a command has nothing to say there off a terminal.
  if [ "$wanted" -ge 64 ] && ! grep -q '^pare: ' err; then fail "$ran: no message on standard error"; fi
  if [ "$wanted" -eq 0 ] && [ -s err ]; then fail "$ran: standard error is not empty: $(head -c 200 err)"; fi
}

says() { # on standard error
  local text
  for text in "$@"; do grep -qF -- "$text" err || fail "$ran: error lacks '$text': $(head -c 300 err)"; done
}

prints() { # on standard output
  local text
  for text in "$@"; do grep -qF -- "$text" out || fail "$ran: output lacks '$text': $(head -c 300 out)"; done
}

# holds FILTER [FILE]: the jq filter is true for every JSON value of the file.
holds() {
  local file=${2:-out}
  if ! [ -s "$file" ] || ! jq -es "length > 0 and all(.[]; $1)" "$file" >/dev/null 2>jq_err; then
    fail "$ran: not so: $1 in $(head -c 300 "$file") $(cat jq_err)"
  fi
}

lines() { # lines COUNT: each of standard output's lines is one JSON object
  local found
  found=$(wc -l <out)
  [ "$found" -eq "$1" ] || fail "$ran: $found lines, expected $1"
  while IFS= read -r line; do
    jq -e 'type == "object"' <<<"$line" >/dev/null 2>&1 || fail "$ran: not one JSON object: ${line:0:200}"
  done <out
}

nothing_left() {
  local left
  left=$(find "$work/tmp" "$work/files" -mindepth 1 2>/dev/null; find "$work" -maxdepth 1 -name '.pare*')
  [ -z "$left" ] || fail "$ran: left behind: $left"
}

finish() {
  [ "$failures" -eq 0 ] || { echo "$failures failures" >&2; exit 1; }
  exit 0
}
