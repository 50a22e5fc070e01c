-- Commands, and on Neovim 0.10 the start of the server; 0.11 and later: vim.lsp.enable("whet").
if vim.g.loaded_whet then return end
vim.g.loaded_whet = true

local commands = {
  WhetOptimize = { 'optimize', 'Optimize the kernel at the cursor' },
  WhetFix = { 'fix', 'Fix the failing test of the kernel at the cursor' },
  WhetVerify = { 'verify', 'Judge your own edit of the kernel at the cursor against git HEAD' },
  WhetCancel = { 'cancel', 'Cancel a run; its best so far is kept' },
  WhetDiff = { 'diff', 'Compare a result with the buffer' },
  WhetAccept = { 'accept', 'Apply a result: one edit, one undo' },
  WhetReject = { 'reject', 'Turn a result down' },
  WhetRuns = { 'runs', 'List runs' },
}
for name, command in pairs(commands) do
  vim.api.nvim_create_user_command(name, function() require('whet')[command[1]]() end, { desc = command[2] })
end

-- Lenses and actions of the server may ask the editor for a diff.
vim.lsp.commands['whet.showDiff'] = function(command) require('whet').diff(command.arguments[1].run) end

if vim.fn.has('nvim-0.11') == 1 then return end

vim.api.nvim_create_autocmd('FileType', {
  pattern = 'python',
  group = vim.api.nvim_create_augroup('whet', {}),
  callback = function(event)
    if vim.bo[event.buf].buftype ~= '' then return end
    local config = require('whet.config').lsp()
    if vim.fn.executable(config.cmd[1]) == 0 then return end
    local file = vim.api.nvim_buf_get_name(event.buf)
    config.root_dir = vim.fs.root(event.buf, config.root_markers) or vim.fs.dirname(file)
    vim.lsp.start(config, { bufnr = event.buf })
  end,
})
