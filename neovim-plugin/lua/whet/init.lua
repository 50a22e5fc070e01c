-- What the :Whet commands do. Every one ends in a command of the server; which of them make
-- sense at a place is the server's to say.
local diff = require('whet.diff')
local rpc = require('whet.rpc')
local runs = require('whet.runs')
local M = {}

-- Takes the first code action of this kind at the cursor.
local function at_cursor(kind, otherwise)
  local client = rpc.client()
  if not client then return end
  local params = vim.lsp.util.make_range_params(0, client.offset_encoding)
  params.context = { diagnostics = {}, only = { kind }, triggerKind = 1 }
  rpc.request(client, 'textDocument/codeAction', params, function(actions)
    local action = (actions or {})[1]
    if not action then return rpc.say(otherwise) end
    local command = type(action.command) == 'table' and action.command or action
    rpc.request(client, 'workspace/executeCommand', { command = command.command, arguments = command.arguments }, function() end)
  end, 0)
end

-- Calls `act` with the one run of `choices`, asking when there are several.
local function with_one(choices, otherwise, act)
  if #choices == 0 then return rpc.say(otherwise) end
  if #choices == 1 then return act(choices[1]) end
  vim.ui.select(choices, { prompt = 'Which run?', format_item = runs.line }, function(run)
    if run then act(run) end
  end)
end

function M.optimize()
  at_cursor('refactor.rewrite.whet.optimize', 'there is no Triton kernel at the cursor; put it on a function under @triton.jit')
end

function M.fix()
  at_cursor('quickfix.whet.fixTest', 'no test of the kernel at the cursor is known to fail; choose "Run its tests" among the code actions first')
end

function M.verify()
  at_cursor('whet.verify', 'the kernel at the cursor is as git has it at HEAD; there is no change of yours to verify')
end

function M.cancel()
  with_one(runs.running(), 'nothing is running', function(run)
    local client = rpc.client()
    if client then rpc.execute(client, 'whet.cancel', { run = run.run }) end
  end)
end

function M.diff(id)
  local choices = id and { runs.get(id) } or runs.offers()
  with_one(choices, 'there is no result to compare', diff.show)
end

function M.accept()
  with_one(runs.offers(), 'there is no result to accept', function(run)
    local client = rpc.client()
    if not client then return end
    rpc.execute(client, 'whet.apply', { run = run.run }, function(answer)
      if type(answer) == 'table' and answer.applied then
        diff.close(run.run)
        return runs.settle(run.run)
      end
      local reason = type(answer) == 'table' and answer.reason
      rpc.say(type(reason) == 'string' and reason or 'not applied: the file changed meanwhile; compare with :WhetDiff', vim.log.levels.WARN)
    end)
  end)
end

function M.reject()
  with_one(runs.offers(), 'there is no result to reject', function(run)
    local client = rpc.client()
    if not client then return end
    rpc.execute(client, 'whet.reject', { run = run.run }, function()
      diff.close(run.run)
      runs.settle(run.run)
    end)
  end)
end

-- Shows the runs of this project, also those of earlier sessions.
function M.runs()
  local client = rpc.client()
  if not client then return end
  rpc.request(client, 'whet/listRuns', vim.empty_dict(), function(listed)
    local lines = vim.tbl_map(function(run)
      if run.best == vim.NIL then run.best = nil end
      return ('%s  %s  %s'):format(runs.line(run), run.state, run.sentence or '')
    end, listed)
    rpc.say(#lines == 0 and 'no runs yet' or table.concat(lines, '\n'))
  end)
end

-- For a status line: what runs, else nothing.
function M.statusline()
  local run = runs.running()[1]
  return run and ('Whet ' .. runs.line(run)) or ''
end

return M
