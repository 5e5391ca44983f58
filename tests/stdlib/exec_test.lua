-- exec without running anything: what is a read, what arguments are refused, what stands in the line.
local byhand = require "byhand"
local catalogue = require "catalogue"
local settings = require "settings"
local values = require "values"
settings.host_name = "here"
local exec = catalogue.family("exec")[true]

local function equal(got, wanted, what)
  if got ~= wanted then
    error(("%s: %q expected, got %q"):format(what, tostring(wanted), tostring(got)), 2)
  end
end

local function raises(pattern, ...)
  local ok, message = pcall(catalogue.call, exec, ...)
  if ok or not tostring(message):find(pattern, 1, true) then
    error(("an error with %q expected, got %s"):format(pattern, tostring(message)), 2)
  end
end

local function class(...) return exec.class(catalogue.call(exec, ...)) end
local function line(...) return catalogue.line(exec, catalogue.call(exec, ...)) end

-- The author's word: a read may be declared, a write may be called destructive, nothing is lowered.
equal(class({ "mytool", "status" }, { reads = true }), "declared", "declared")
equal(class({ "df" }, { reads = true }), "read", "a listed one needs no word")
equal(class({ "mytool" }, { destructive = true }), "destructive", "destructive")
equal(class({ "df" }, { destructive = true }), "destructive", "raised")

------------------------------------------------------------------ Arguments --

raises('a list of strings like { "df", "-h" } expected, got the string "df -h"', "df -h")
raises("options are a table of their own", { "rm", "x", destructive = true })
raises("options are a table of their own", { "rm", [3] = "x" })
raises("entry 2 is a table", { "df", {} })
raises("a program is needed", {})
raises("a program is needed", { "" })
raises("NUL byte", { "df", "a\0b" })
raises("word 2 is a secret", { "df", values.secret("TOKEN", "x") })
raises("word 1 is a secret", { "df" }, { preview = { values.secret("TOKEN", "x") } })
raises("a path from the root", { "df" }, { cwd = "x" })
raises("'..' is refused", { "df" }, { cwd = "/a/../b" })
raises("no name of a variable", { "df" }, { env = { ["A=B"] = "1" } })
raises("no name of a variable", { "df" }, { env = { "A" } })
raises("a string expected", { "df" }, { env = { A = {} } })
raises("an exit code or a list of them", { "df" }, { expect = "0" })
raises("an exit code or a list of them", { "df" }, { expect = {} })
raises("an exit code or a list of them", { "df" }, { expect = 256 })
raises("contradict", { "df" }, { reads = true, destructive = true })
raises("the config's machines hold no 'db'", { "df" }, { on = "db" })
raises("did you mean 'timeout'", { "df" }, { timout = "1s" })
local given = { A = 1, B = values.secret("TOKEN", "geheim") }
local call = catalogue.call(exec, { "df" }, { env = given })
equal(call.env.A, "1", "a number in env")
equal(given.A, 1, "the script's table stays as it was")

----------------------------------------------------------------------- Lines --

equal(line { "df", "-h" }, "exec df -h @here", "a line")
equal(line { "git", "commit", "-m", "two words", "" }, 'exec git commit -m "two words" "" @here',
  "words with blanks")
equal(line({ "make", "clean" }, { cwd = "/srv/app", timeout = "1m", env = { A = "x" }, on = "" }),
  "exec make clean cwd=/srv/app @here", "what is touched, not how")
equal(line({ "df" }, { on = "here" }), "exec df @here", "this machine by its name")
settings.machines = { db = { ssh = "db1.prod", sudo = true } }
equal(line({ "df" }, { on = "db" }), "exec df @db", "another machine")
equal(table.concat(exec.command(catalogue.call(exec, { "df", "a b" }, { on = "db" })), "|"),
  "ssh|db1.prod|df 'a b'", "a read by hand there")
equal(table.concat(exec.command(catalogue.call(exec, { "rm", "a b" }, { on = "db" })), "|"),
  "ssh|db1.prod|sudo -n rm 'a b'", "a write by hand there")
equal(byhand.text(exec.command(catalogue.call(exec, { "df" }, { env = given, cwd = "/x" }))),
  'env -C /x A=1 B="${TOKEN:?}" df', "by hand here")
equal(exec.target(catalogue.call(exec, { "/usr/bin/rm", "x" })), "rm", "what an operator types")

--------------------------------------------------------- Where it may happen --

equal(exec.permission(catalogue.call(exec, { "df" })), nil, "a read of this machine")
equal(exec.permission(catalogue.call(exec, { "x" }, { reads = true })), nil, "a declared read of this machine")
assert(exec.permission(catalogue.call(exec, { "rm", "x" })).why:find "--here", "a write to this machine")
assert(exec.permission(catalogue.call(exec, { "rm", "x" }, { on = "here" })).why:find "--here",
  "a write to it by its name")
equal(exec.permission(catalogue.call(exec, { "rm", "x" }, { on = "db" })), nil, "a write elsewhere")
settings.here = true
equal(exec.permission(catalogue.call(exec, { "rm", "x" })), nil, "a write to this machine that was allowed")
settings.machines.db.ssh = "ssh://127.0.0.1:1" -- nobody listens there
local there = catalogue.call(exec, { "rm", "x" }, { on = "db" })
local fields, err = exec.run(there)
assert(not fields and err.kind == "unreachable" and err.message:find "machine db")
assert(exec.preview(there).unknown)
require("effects.ssh").close()
print "exec: well"
