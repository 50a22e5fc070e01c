-- The runs that the server told of. Every change fires the autocommand `User WhetRunChanged`.
local M = {}

local known = {} ---@type table<string, table>
local order = {} ---@type string[] oldest change first
local settled = {} ---@type table<string, string> candidate that was accepted or rejected, by run

---@param run table as in `whet/runChanged`
function M.update(run)
  local best = run.best ~= vim.NIL and run.best or nil
  if best and settled[run.run] == best.candidate then best = nil end
  run.best = best
  known[run.run] = run
  order = vim.tbl_filter(function(id) return id ~= run.run end, order)
  table.insert(order, run.run)
  vim.api.nvim_exec_autocmds('User', { pattern = 'WhetRunChanged', modeline = false, data = run })
end

-- The run's offer was accepted or rejected: it is offered no more, a better one would be.
function M.settle(id)
  local run = known[id]
  if run and run.best then
    settled[id] = run.best.candidate
    M.update(run)
  end
end

function M.get(id) return known[id] end

---@return table[] newest change first
function M.all()
  local runs = {}
  for i = #order, 1, -1 do table.insert(runs, known[order[i]]) end
  return runs
end

function M.running()
  return vim.tbl_filter(function(run) return run.state == 'running' end, M.all())
end

function M.offers()
  return vim.tbl_filter(function(run) return run.best ~= nil end, M.all())
end

-- `softmax 4/20 1.83x`
function M.line(run)
  local parts = { run.kernel, run.tried .. '/' .. run.iterations }
  if run.best then table.insert(parts, run.best.label) end
  return table.concat(parts, ' ')
end

M.status = '' -- `Whet: 3 kernels, MI300X via gpu1`

-- How a run ended, where nothing else shows it.
local function tell(run)
  if run.best == nil and run.reason ~= 'cancelled' and (run.sentence or '') ~= '' then
    vim.notify(('Whet: %s: %s'):format(run.kernel, run.sentence))
  elseif run.best then
    vim.notify(('Whet: %s; compare with :WhetDiff, take it with :WhetAccept'):format(M.line(run)))
  end
end

M.handlers = {
  ['whet/runChanged'] = function(_, run)
    local before = known[run.run]
    M.update(run)
    if before and before.state == 'running' and run.state == 'finished' then tell(run) end
  end,
  ['whet/status'] = function(_, status)
    M.status = status.text
    vim.api.nvim_exec_autocmds('User', { pattern = 'WhetStatus', modeline = false, data = status })
  end,
}

return M
