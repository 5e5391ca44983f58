-- Dry: reads and previews are real. It has no `write`, no `notify` and no `ask`: there is no way to change or tell anything.
local live = require "modes.live"
local run = require "run"

local dry = { name = "dry", grace = live.grace, preview = live.preview }

function dry.read(act)
  if act.class == "declared" and run.options.dry_run == "strict" then
    return nil, { kind = "refused_strict",
                  message = "not run under --dry-run=strict: it is a read only on the author's word" }
  end
  return live.read(act)
end

-- Nothing was armed.
function dry.settle() return {} end

return dry
