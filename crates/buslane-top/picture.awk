# Turns a screen of tmux (`capture-pane -e -p`) into an SVG: one text element for each run of cells
# with the same style. The width of a cell is fixed, so that columns stay in line with any font.
BEGIN {
  cell = 8; line = 18; margin = 10
  # The palette of a terminal with a dark background.
  color["31"] = "#ff7b72"; color["33"] = "#e3b341"; color["36"] = "#76e3ea"
  ground = "#0d1117"; text = "#e6edf3"
  # The later bytes of a character in UTF-8, which take no cell. Run with LC_ALL=C.
  for (i = 128; i < 192; i++) later = later sprintf("%c", i)
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"13\">\n", \
    width * cell + 2 * margin, height * line + 2 * margin
  printf "<rect width=\"100%%\" height=\"100%%\" rx=\"6\" fill=\"%s\"/>\n", ground
}
# Writes the cells that were collected.
function flush(    x, y, fill, extra, shown) {
  shown = run
  gsub(/ +$/, "", shown)
  if (run != "" && (shown != "" || reverse)) {
    x = margin + start * cell; y = margin + (NR - 1) * line
    fill = foreground == "" ? text : color[foreground]
    if (reverse) {
      printf "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>", x, y, cells * cell, line, fill
      fill = ground
    }
    extra = (bold ? " font-weight=\"bold\"" : "") (dim ? " fill-opacity=\".65\"" : "")
    gsub(/&/, "\\&amp;", run); gsub(/</, "\\&lt;", run); gsub(/>/, "\\&gt;", run)
    if (shown != "")
      printf "<text x=\"%d\" y=\"%d\" fill=\"%s\"%s textLength=\"%d\" xml:space=\"preserve\">%s</text>\n", \
        x, y + 13, fill, extra, cells * cell, run
  }
  run = ""; start = column; cells = 0
}
function style(codes,    list, count, i) {
  count = split(codes, list, ";")
  if (codes == "") reset()
  for (i = 1; i <= count; i++) {
    # A color by its number, as tmux writes it.
    if (list[i] == 38 && list[i + 1] == 5) {
      foreground = "3" list[i + 2]
      i += 2
    }
    else if (list[i] + 0 == 0) reset()
    else if (list[i] == 1) bold = 1
    else if (list[i] == 2) dim = 1
    else if (list[i] == 7) reverse = 1
    else if (list[i] == 22) bold = dim = 0
    else if (list[i] == 27) reverse = 0
    else if (list[i] == 39) foreground = ""
    else if (list[i] in color) foreground = list[i]
  }
}
function reset() { bold = dim = reverse = 0; foreground = "" }
{
  column = 0; start = 0; cells = 0; run = ""
  rest = $0
  while (rest != "") {
    if (match(rest, /^\033\[[0-9;]*m/)) {
      flush()
      style(substr(rest, 3, RLENGTH - 3))
      rest = substr(rest, RLENGTH + 1)
    } else {
      character = substr(rest, 1, 1)
      # Two spaces end a run, so that the next text begins in its column.
      if (character == " " && substr(rest, 1, 2) == "  " && !reverse && run != "" && run !~ /^ *$/) {
        flush()
      }
      run = run character
      if (!index(later, character)) { column++; cells++ }
      rest = substr(rest, 2)
    }
  }
  flush()
}
END { print "</svg>" }
