# Prints each import between two files, or folders, of one directory of a crate: the directory, the
# importing file, the imported one. The directory of the modules of the root is `.`. For .ci/layers,
# which runs it once for each crate.
#
# Reads `use` trees and paths in the code, starting at `crate` or `super`. An item that `x.rs`
# re-exports from `x/y.rs` belongs to `x/y.rs`, and one that `lib.rs` re-exports is one of its
# module. Code after `#[cfg(test)]` and modules in braces are not read. At the root, neither are
# models, nor the files in `above`, which name what is in modules above their own.

BEGIN {
  ROOT = "crate"
  split(above, names, " ")
  for (i in names) is_above[names[i]] = 1
}

function add(path) { paths[module] = paths[module] " " path }

# Adds each path of a `use` tree.
function expand(prefix, tree,    depth, part, c, i) {
  for (i = 1; i <= length(tree); i++) {
    c = substr(tree, i, 1)
    if (c == "{") depth++
    if (c == "}") depth--
    if (c == "," && !depth) { expand_part(prefix, part); part = "" } else part = part c
  }
  expand_part(prefix, part)
}

function expand_part(prefix, part,    open) {
  gsub(/ as [A-Za-z_]+|[ \t]/, "", part)
  if (part == "") return
  open = index(part, "{")
  if (open) expand(prefix substr(part, 1, open - 1), substr(part, open + 1, length(part) - open - 1))
  else add(prefix part)
}

FNR == 1 {
  module = FILENAME
  sub(/^(.*\/)?src\//, "", module)
  sub(/\.rs$/, "", module)
  gsub(/\//, "::", module)
  if (module == "lib") module = ROOT
  known[module] = 1
  tree = ""; in_use = tests = guarded = 0
}
tests || /^ *\/\// { next }
guarded && /^mod [a-z_]+ \{/ { tests = 1; next }
{ guarded = /^#\[cfg\(test\)\]/ }
/^(pub(\([a-z: ]+\))? )?use / { in_use = 1; sub(/^(pub(\([a-z: ]+\))? )?use /, "") }
in_use {
  tree = tree $0
  if (!/;/) next
  sub(/;.*/, "", tree)
  expand("", tree)
  tree = ""; in_use = 0
  next
}
{
  while (match($0, /(crate|super)(::[A-Za-z_]+)+/)) {
    add(substr($0, RSTART, RLENGTH))
    $0 = substr($0, RSTART + RLENGTH)
  }
}

END {
  for (module in paths) {
    count = split(paths[module], list, " ")
    for (i = 1; i <= count; i++) {
      path = list[i]
      base = module
      if (sub(/^crate::/, "", path)) base = ""
      else if (path ~ /^super::/) while (sub(/^super::/, "", path)) { if (!sub(/::[^:]*$/, "", base)) base = "" }
      else {
        sub(/^self::/, "", path)
        first = item = path
        sub(/::.*/, "", first)
        sub(/.*::/, "", item)
        if (module == ROOT) { if (first in known) origin[item] = first }
        else if ((module "::" first) in known) origin[module "::" item] = module "::" first
        continue
      }
      whole[module] = whole[module] " " (base == "" ? path : base "::" path)
    }
  }
  for (module in whole) {
    count = split(whole[module], list, " ")
    depth = split(module, from, "::")
    for (i = 1; i <= count; i++) {
      steps = split(list[i], to, "::")
      directory = ""
      for (j = 1; j <= steps && j <= depth && to[j] == from[j]; j++) directory = directory (j == 1 ? "" : "::") to[j]
      if (j > steps || j > depth) continue
      if (j == 1 && (module == ROOT || module in is_above || module ~ /::models$/)) continue
      target = (j == 1 ? "" : directory "::") to[j]
      if (!(target in known)) target = origin[target]
      if (target == "") continue
      split(target, to, "::")
      gsub(/::/, "/", directory)
      if (to[j] != from[j]) print (j == 1 ? "." : directory), from[j], to[j]
    }
  }
}
