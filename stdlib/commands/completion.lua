-- runbook completion SHELL: what a shell reads to complete our command line. Each asks this program what could follow
-- (stdlib/commands/complete.lua), so that all shells know the same, and the runs and environments of the moment.
local screen = require "screen"
local tty = require "raw.tty"

local EXIT_USAGE = 2

local scripts = {}

-- bash cuts words at = and : too, and puts in only what follows the last of them.
scripts.bash = [==[
# Completion of runbook's command line for bash: source <(runbook completion bash)
_runbook() {
  local line=${COMP_LINE:0:COMP_POINT} seen=${COMP_WORDS[COMP_CWORD]} words kind word _
  read -ra words <<<"$line"
  if [[ $line == *[[:space:]] ]]; then words+=(""); fi
  if [[ $seen == [=:] ]]; then seen=; fi
  local before=${words[-1]%"$seen"}
  COMPREPLY=()
  {
    read -r kind
    while IFS=$'\t' read -r word _; do
      printf -v word %q "${word#"$before"}"
      COMPREPLY+=("$word")
    done
  } < <("${words[0]}" _complete -- "${words[@]:1}" 2>/dev/null)
  if [[ $kind == files ]]; then compopt -o default; fi
  if [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *[=:] ]]; then compopt -o nospace; fi
}
complete -F _runbook runbook
]==]

scripts.zsh = [==[
#compdef runbook
# Completion of runbook's command line for zsh: source <(runbook completion zsh), or this text as _runbook on fpath
_runbook() {
  local -a lines words_of_line help
  local line word kind
  lines=("${(@f)$(${(Q)words[1]} _complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  kind=$lines[1]
  for line in "${(@)lines[2,-1]}"; do
    word=${line%%$'\t'*}
    words_of_line+=("$word")
    help+=("$word  ${line#*$'\t'}")
  done
  if [[ $words_of_line[1] == *[=:] ]]; then compadd -l -d help -S '' -a words_of_line; fi
  if [[ $words_of_line[1] == *[^=:] ]]; then compadd -l -d help -a words_of_line; fi
  if [[ $kind == files ]]; then _files; fi
}
if [[ $funcstack[1] == _runbook ]]; then _runbook "$@"; else compdef _runbook runbook; fi
]==]

scripts.fish = [==[
# Completion of runbook's command line for fish: runbook completion fish | source
function __runbook_complete
  set -l words (commandline -opc)
  set -l lines ($words[1] _complete -- $words[2..-1] (commandline -ct) 2>/dev/null)
  printf '%s\n' $lines[2..-1]
  if test "$lines[1]" = files
    __fish_complete_path (commandline -ct)
  end
end
complete -c runbook -f -a '(__runbook_complete)'
]==]

return function(arguments)
  local script = scripts[arguments[1]]
  if not script then
    screen.complain(("completion: bash, zsh or fish expected, got %s"):format(arguments[1]))
    return EXIT_USAGE
  end
  tty.write(1, script)
  return 0
end
