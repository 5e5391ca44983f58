-- files on real files: luahost --stdlib stdlib tests/stdlib/files_test.lua FOLDER (empty, ours alone)
local catalogue = require "catalogue"
local process = require "raw.process"
local raw = require "raw.files"
local settings = require "settings"
local tasks = require "tasks"
local values = require "values"
settings.host_name, settings.here = "here", true
settings.environment = { PATH = "/usr/bin:/bin" }
catalogue.family "files"
local folder = ...

local function equal(got, wanted, what)
  if got ~= wanted then
    error(("%s: %q expected, got %q"):format(what, tostring(wanted), tostring(got)), 2)
  end
end
local function has(text, part, what)
  if not tostring(text):find(part, 1, true) then
    error(("%s: %q does not hold %q"):format(what or "", tostring(text), part), 2)
  end
end

local function entry(name) return catalogue.effects["files." .. name] end
local function call_of(name, ...) return values.reveal_all(catalogue.call(entry(name), ...)) end
local function run(name, ...) return entry(name).run(call_of(name, ...)) end
local function preview(name, ...) return entry(name).preview(call_of(name, ...)) end
local function raises(pattern, name, ...)
  local ok, message = pcall(catalogue.call, entry(name), ...)
  assert(not ok, "it should have raised: " .. pattern)
  has(message, pattern, name)
end

local function tool(...)
  local done = assert(process.run { argv = { ... }, env = settings.environment })
  assert(done.code == 0, done.stderr)
  return done.stdout
end
local function put(name, text, days)
  assert(raw.write { path = folder .. "/" .. name, text = text or "x" })
  if days then tool("touch", "-d", days .. " days ago", "--", folder .. "/" .. name) end
end
local function there(name) return raw.stat(folder .. "/" .. name).state ~= "absent" end
local function clear()
  tool("find", folder, "-mindepth", "1", "-delete")
end

----------------------------------------------------------------- read, stat --

put("a", "0123456789")
equal(run("read", folder .. "/a").text, "0123456789", "read")
local it = run("read", folder .. "//./a", { max = 4 })
equal(it.text .. tostring(it.cut) .. it.bytes, "0123true10", "its head")
it = run("read", folder .. "/a", { max = 4, keep = "tail" })
equal(it.text .. tostring(it.cut), "6789true", "its tail")
it = run("read", folder .. "/none")
equal(it.state .. tostring(it.text), "absentnil", "an absent file has no text, not an empty one")
local fields, err = run("read", folder)
equal(err.kind, "usage", "a folder")
put("odd", "a\0b\255\27[31m")
equal(run("read", folder .. "/odd").text, "a\0b\255\27[31m", "any bytes")
raises("at most 1 MB", "read", "/x", { max = "2MB" })
raises("wrong pattern at character", "read", "/x", { match = "a(b" })
raises("a duration before now", "read", "/x", { since = "soon" })
raises("one of head, tail", "read", "/x", { keep = "middle" })
raises("a path from the root", "read", "x")
raises("'..' is refused", "read", "/x/../y")

it = run("stat", folder .. "/a")
equal(it.state .. it.bytes .. it.mode, "file100644", "stat")
assert(math.abs(tasks.wall() - it.modified) < 60)
equal(run("stat", folder .. "/none").state, "absent", "absent")
equal(run("stat", folder .. "/a/b").state, "absent", "below a file")
tool("ln", "-s", "a", folder .. "/link")
equal(run("stat", folder .. "/link").state, "symlink", "a link is not followed")

------------------------------------------------------------------ find, list --

clear()
tool("mkdir", "-p", folder .. "/sub")
put("a.log", "12345", 10)
put("sub/b.log", "1234567", 100)
put("c.txt", "1", 50)
put("new.log", "1")
tool("ln", "-s", "a.log", folder .. "/link.log")
it = run("find", { under = folder, name = "*.log", older_than = "7d" })
equal(it.count .. it.files[1].path .. it.files[2].path, "2" .. folder .. "/a.log" .. folder .. "/sub/b.log",
  "by name and age")
equal(it.bytes, 12, "their sizes")
assert(it.oldest == it.files[2].modified and it.newest == it.files[1].modified and not it.cut)
equal(run("find", { under = folder, newer_than = "7d" }).count, 1, "newer")
equal(run("find", { under = folder, larger_than = 5 }).count, 2, "larger")
it = run("find", { under = folder .. "/none" })
equal(it.state .. it.count .. tostring(it.oldest), "absent0nil", "no such folder")
fields, err = run("find", { under = folder .. "/link.log" })
equal(err.kind, "usage", "a link is no folder")
it = run("list", folder)
equal(it.count, 3, "a list has the folder's own")
equal(catalogue.line(entry "find", call_of("find", { under = folder, name = "*.log", older_than = "36h",
                                                     timeout = "5s" })),
  "files.find name=*.log older_than=1d12h under=" .. folder .. " @here", "what is chosen stands in the line")
raises("'under' is required", "find", { name = "x" })
raises("a glob for the name alone", "find", { under = "/x", name = "a/b" })

-- By hand finds the same.
local words = entry "find".command(call_of("find", { under = folder, name = "*.log", older_than = "7d",
                                                     larger_than = 5 }))
equal(select(2, tool(table.unpack(words)):gsub("\n", "")), 2, "find(1)")

---------------------------------------------------------------------- delete --

local old = { under = folder, name = "*.log", older_than = "7d" }
it = preview("delete", old)
has(it.text, ("deletes 2 files, 12 B under %s, 10 to 100 days old"):format(folder))
equal(it.size, 2, "its radius")
equal(entry "delete".would(call_of("delete", old), it).deleted, 2, "the dry result")

-- Only what was listed goes, as it was listed: one came since, one was written to, one was swapped, one is
-- gone.
for _, name in ipairs { "keep-written.log", "keep-swapped.log", "gone.log" } do put(name, "1", 20) end
local plan = preview("delete", old)
equal(plan.size, 5, "five are listed")
put("came.log", "1", 30)
assert(tool("sh", "-c", 'echo more >>"$1"; rm "$2" "$3"', "x", folder .. "/keep-written.log",
  folder .. "/keep-swapped.log", folder .. "/gone.log"))
put("keep-swapped.log", "1", 20)
local call = call_of("delete", old)
fields, err = entry "delete".run(call, plan)
assert(fields, err and err.message)
equal(fields.deleted, 2, "deleted")
equal(fields.bytes, 12, "their bytes")
equal(fields.left, 3, "left")
assert(not there "a.log" and not there "sub/b.log")
assert(there "keep-written.log" and there "keep-swapped.log" and there "came.log")
assert(there "c.txt" and there "new.log" and there "link.log")
assert(fields.new >= 1, "what came is counted")
equal(entry "delete".verify(call), nil, "whether it happened can't be told while others match")
has(entry "delete".sum_up(fields), "deleted 2 files, 12 B; 3 left (" .. folder .. "/")

-- Nothing of what was listed is there any more: that is a failure, told as one.
plan = preview("delete", { under = folder, name = "came.log" })
tool("rm", folder .. "/came.log")
fields, err = entry "delete".run(call_of("delete", { under = folder, name = "came.log" }), plan)
equal(fields, nil, "none was deleted")
has(err.message, "none of 1 files was deleted")

-- Outside a plan it lists for itself; nothing to delete is well.
fields = run("delete", { under = folder, name = "keep-*" })
equal(fields.deleted, 2, "without a plan")
equal(run("delete", { under = folder, name = "keep-*" }).deleted, 0, "nothing to delete")
equal(entry "delete".verify(call_of("delete", { under = folder, name = "keep-*" })), true, "it happened")
has(preview("delete", { under = folder, name = "keep-*" }).text, "deletes nothing: no such file")
has(preview("delete", { under = folder .. "/none", name = "*" }).text, "there is no folder")
tool("ln", "-s", folder .. "/sub", folder .. "/linked")
has(preview("delete", { under = folder .. "/linked", name = "*" }).impossible, "symbolic link")

-- Names that mean something to a shell, a terminal or a glob.
for _, name in ipairs { "-rf *", "a\nb", "é\255", "\27[31m", "$(id)", "'" } do put("sub/" .. name, "1") end
fields = run("delete", { under = folder .. "/sub", name = "*" })
equal(fields.deleted, 6, "odd names")

raises("not the root", "delete", { under = "/", name = "*" })
raises("not the root", "delete", { under = "//./", name = "*" })
raises("'..' is refused", "delete", { under = "/var/../", name = "*" })
raises("a path from the root", "delete", { under = "var/log", name = "*" })
raises("Say name", "delete", { under = "/var/log" })
raises("Say name", "delete", { under = "/var/log", newer_than = "1d" })
has(entry "delete".permission(setmetatable({ on = "" }, { __index = call })) or "nothing", "nothing",
  "allowed here")
settings.here = false
has(entry "delete".permission(call).why, "--here", "not allowed here")
settings.here = true

----------------------------------------------------------------------- write --

clear()
local path = folder .. "/conf"
plan = preview("write", path, "one\n")
has(plan.text, "makes " .. path .. ", 4 B")
equal(entry "write".run(call_of("write", path, "one\n"), plan).bytes, 4, "made")
equal(run("stat", path).mode, "0644", "a new file's permissions")
has(preview("write", path, "one\n").text, "changes nothing")
plan = preview("write", path, "two!\n")
has(plan.text, "replaces " .. path .. ", 4 B, changed ")
put("conf", "by another")
fields, err = entry "write".run(call_of("write", path, "two!\n"), plan)
equal(fields, nil, "changed since the plan")
has(err.message, "was changed since the plan")
equal(run("read", path).text, "by another", "left as it is")
call = call_of("write", path, "two\0!", { mode = "600" })
assert(entry "write".run(call, preview("write", path, "two\0!")))
equal(run("read", path).text .. run("stat", path).mode, "two\0!0600", "replaced")
equal(entry "write".verify(call), true, "it happened")
has(preview("write", folder, "x").impossible, "is a directory")
tool("ln", "-s", "conf", folder .. "/link")
has(preview("write", folder .. "/link", "x").impossible, "is a symlink")
equal(catalogue.line(entry "write", call), "files.write " .. path .. " @here",
  "the text doesn't stand in the line")
raises("three octal digits", "write", path, "x", { mode = "u+x" })
raises("at most 1 MB", "write", path, ("x"):rep((1 << 20) + 1))
raises("a secret may not go here", "write", path, values.secret("TOKEN", "x"))
has(preview("write", values.placeholder "path", "x").text, "known only in the run")

for name, effect in pairs(catalogue.effects) do
  if effect.family == "files" then
    local specimen = type(effect.specimen) == "function" and effect.specimen { text = "x" } or effect.specimen
    for field in pairs(specimen) do assert(effect.result[field], name .. ": unlisted " .. field) end
  end
end
print "files: well"
