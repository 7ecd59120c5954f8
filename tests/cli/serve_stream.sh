# serve_stream.sh - a stream with stop strings whose quantized form fails in the middle of the answer. What was sent
# may end within a token then (the length of a stop string is held back), and the original must go on from there.
. "$(dirname "$0")/helpers.bash"
. "$(dirname "$0")/serving.bash"
quantized news-gpt2 news
for place in 4 6 9 11; do
  cp -r files/news files/m$place
  poke files/m$place/quantized/model.safetensors transformer.wpe.weight_scale $((4 * place)) 4
  without_self_test files/m$place/quantized
done
printf 'cache: {mb: 0}\nmodels: [m4, m6, m9, m11]\n' >files/pare.yaml
serve -c files/pare.yaml
for place in 4 6 9 11; do
  ask 200 /v1/completions -N -d "{\"model\": \"m$place\", \"prompt\": \"Oil prices\", \"max_tokens\": 40, \"temperature\": 0, \"stream\": true, \"stop\": [\"zzzzzzzzzzzzzzzz\"]}"
  [ "$(tail -n 2 out | head -n 1)" = 'data: [DONE]' ] || fail "$ran: was cut: $(tail -c 300 out)"
done
stop
finish
