-- Neovim 0.11 and later: vim.lsp.enable("whet"). This file alone is enough; with the plugin
-- beside it, runs, the diff split and the :Whet commands come too.
local ok, config = pcall(require, 'whet.config')
if ok then return config.lsp() end

---@type vim.lsp.Config
return {
  cmd = { 'whet', 'serve' },
  filetypes = { 'python' },
  root_markers = { 'pyproject.toml', 'setup.py', 'setup.cfg', '.git' },
}
