-- The diff split: your own buffer stays where it is, the candidate stands beside it. Take
-- single hunks with `do`; `:q` in the candidate ends the comparison.
local rpc = require('whet.rpc')
local M = {}

local shown = {} ---@type table<string, integer> candidate's buffer, by run

local function candidate_buffer(run, text)
  local buf = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_name(buf, ('whet://%s/%s'):format(run.run, vim.fn.fnamemodify(vim.uri_to_fname(run.uri), ':t')))
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, vim.split((text:gsub('\r\n', '\n'):gsub('\n$', '')), '\n'))
  vim.bo[buf].bufhidden = 'wipe'
  vim.bo[buf].modifiable = false
  vim.bo[buf].syntax = 'python' -- not the filetype: no other server need attach
  return buf
end

---@return integer window that shows the run's file, opened if none does
local function file_window(run)
  local buf = vim.uri_to_bufnr(run.uri)
  local win = vim.fn.bufwinid(buf)
  if win ~= -1 then return win end
  vim.cmd.split()
  vim.api.nvim_win_set_buf(0, buf)
  return vim.api.nvim_get_current_win()
end

local function open(run, text)
  M.close(run.run)
  local win = file_window(run)
  local buf = candidate_buffer(run, text)
  shown[run.run] = buf
  vim.api.nvim_set_current_win(win)
  vim.cmd('vertical leftabove sbuffer ' .. buf)
  vim.cmd.diffthis()
  vim.api.nvim_set_current_win(win)
  vim.cmd.diffthis()
  vim.api.nvim_create_autocmd('BufWipeout', {
    buffer = buf,
    once = true,
    callback = function()
      shown[run.run] = nil
      if vim.api.nvim_win_is_valid(win) then vim.api.nvim_win_call(win, vim.cmd.diffoff) end
    end,
  })
end

function M.show(run)
  local client = rpc.client()
  if not client then return end
  rpc.request(client, 'whet/content', { run = run.run }, function(content) open(run, content.text) end)
end

function M.close(id)
  local buf = shown[id]
  if buf and vim.api.nvim_buf_is_valid(buf) then vim.api.nvim_buf_delete(buf, { force = true }) end
end

return M
