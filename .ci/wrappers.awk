# Prints each sink that wraps another one and forgets a method: a wrapper names its inner sinks in
# `inner`, and returns what becomes of an event there from `offer`, because the default of `offer`
# cannot know it. For .ci/layers.
#
# A wrapper is an `impl` of `Sink` that is generic over a sink, writes events to a field, or has an
# `inner`. Examples in doc comments count. A macro with methods of a sink counts as an `impl`. An
# `impl` that calls `point_to_sink` has all of its methods.

function finish() {
  if (in_sink && wraps && !inner) print FILENAME ":" from ": a wrapper that does not name its inner sinks"
  if (in_sink && inner && !offer) print FILENAME ":" from ": a wrapper without `offer`"
  in_sink = in_header = 0
}

FNR == 1 { in_sink = in_header = 0 }
{
  line = $0
  comment = sub(/^ *\/\/[\/!] ?/, "", line)
  if (!comment && line ~ /^ *\/\//) next
  sub(/ +\/\/ .*/, "", line)
}
# A doc comment inside of an `impl` is none of its code, and an example ends with its comment.
(in_sink || in_header) && comment != commented {
  if (comment) next
  in_sink = in_header = 0
}
!in_sink && !in_header && line ~ /^ *(impl[ <]|macro_rules! )/ {
  in_header = 1
  header = ""
  from = FNR
  commented = comment
  match(line, /^ */)
  indent = RLENGTH
}
in_header {
  header = header " " line
  if (line !~ /[{}] *$/) next
  in_header = 0
  macro = header ~ /^ *macro_rules! /
  # The trait is the last word before ` for `.
  bounds = substr(header, 1, index(header, " for "))
  if (!macro && !match(bounds, / ([a-z_]+::)*Sink<[^ ]* $/)) next
  bounds = substr(bounds, 1, RSTART)
  where = header
  if (!sub(/.* where /, "", where)) where = ""
  in_sink = 1
  wraps = !macro && (bounds " " where) ~ /[:+] (\?Sized \+ )?Sink</
  inner = offer = 0
  # A body on the line of the header.
  if (line ~ /\} *$/) { body(line); finish() }
  next
}
in_sink { body(line) }
in_sink && line ~ /^ *\}/ && match(line, /^ */) && RLENGTH == indent { finish() }

function body(text) {
  if (text ~ /fn inner\(&self, [a-z_]+: &mut ([a-z]+::)*Inner/) inner = 1
  if (text ~ /fn offer\(&self, /) offer = 1
  if (text ~ /self\.[a-z0-9_.]+\.(write|offer)\([a-z_]+\)/) wraps = 1
  if (text ~ /point_to_sink!\(/) inner = offer = 1
}
