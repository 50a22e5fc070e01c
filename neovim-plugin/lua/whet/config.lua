-- How the server is started, from vim.g.whet = { cmd = {...}, init_options = {...} }.
local M = {}

M.root_markers = { 'pyproject.toml', 'setup.py', 'setup.cfg', '.git' }

-- `whet` on PATH, else where pipx and uv put tools: a desktop session's PATH lacks that folder.
local function default_cmd()
  local tool = vim.fn.expand('~/.local/bin/whet')
  if vim.fn.executable('whet') == 0 and vim.fn.executable(tool) == 1 then return { tool, 'serve' } end
  return { 'whet', 'serve' }
end

---@return table a vim.lsp.Config, which vim.lsp.start of 0.10 takes as well
function M.lsp()
  local given = vim.g.whet or {}
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.experimental = vim.tbl_extend('force', capabilities.experimental or {}, { whet = true })
  return {
    name = 'whet',
    cmd = given.cmd or default_cmd(),
    filetypes = { 'python' },
    root_markers = M.root_markers,
    capabilities = capabilities,
    init_options = given.init_options,
    handlers = require('whet.runs').handlers,
  }
end

return M
