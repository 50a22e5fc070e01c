-- Requests to the server, in the calling style of Neovim 0.10 and of 0.11 alike.
local M = {}

function M.say(text, level) vim.notify('Whet: ' .. text, level or vim.log.levels.INFO) end

---@return vim.lsp.Client? the server of this buffer, else of any
function M.client()
  local client = vim.lsp.get_clients({ name = 'whet', bufnr = 0 })[1] or vim.lsp.get_clients({ name = 'whet' })[1]
  if not client then M.say('the server is not running; see :checkhealth vim.lsp and :help whet-setup', vim.log.levels.ERROR) end
  return client
end

---@param done fun(result: any) called only without an error; errors are shown as the server worded them
function M.request(client, method, params, done, bufnr)
  local function answer(err, result)
    if err then return M.say(err.message, vim.log.levels.ERROR) end
    done(result)
  end
  if vim.fn.has('nvim-0.11') == 1 then
    client:request(method, params, answer, bufnr)
  else
    client.request(method, params, answer, bufnr)
  end
end

-- A command of the server: one versioned object.
function M.execute(client, command, argument, done)
  local arguments = { vim.tbl_extend('force', { v = 1 }, argument) }
  M.request(client, 'workspace/executeCommand', { command = command, arguments = arguments }, done or function() end)
end

return M
