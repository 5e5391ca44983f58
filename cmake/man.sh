#!/bin/sh
# A manual page from a chapter of spec/:   man.sh CHAPTER.md NAME SECTION 'WHAT IT IS' >PAGE
set -eu

# Comments carry the tests of the examples; links between chapters are pages here.
without_comments() {
  sed -e '/^<!--.*-->$/d' -e 's/\[\([^]]*\)\]([a-z]*\.md[^)]*)/\1/g' -e 's/\[\([^]]*\)\](#[^)]*)/\1/g'
}

# A table's rows as a list: man pages have eighty columns, in which tables of sentences are unreadable.
without_tables() {
  awk '
    /^```/ { code = !code }
    code || !/^\|/ { print; row = 0; next }
    { row++; gsub(/\\\|/, "\001") }
    row == 1 { print "" }
    row < 3 { next }
    { n = split($0, cell, / *\| */); line = "- " cell[2]
      for (i = 3; i < n; i++) if (cell[i] != "") line = line (i == 3 ? ": " : ". ") cell[i]
      gsub(/\001/, "|", line); print line }'
}

{
  printf '# NAME\n\n%s - %s\n\n' "$2" "$4"
  without_comments <"$1" | without_tables
} | lowdown -s -Tman -m "title=$2" -m "section=$3" -m "source=runbook $RUNBOOK_VERSION" |
  sed '/^\.TH/a .ad l' # words set apart to fill a line can't always be
