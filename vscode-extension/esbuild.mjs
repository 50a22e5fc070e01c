// One file for the editor, or (--test) one file per test for node's own test runner.
import { build } from 'esbuild';

const common = { bundle: true, platform: 'node', target: 'node20', format: 'cjs', external: ['vscode'] };

if (process.argv.includes('--test')) {
  await build({ ...common, entryPoints: ['test/discovery.test.ts', 'test/words.test.ts'], outdir: 'dist/test' });
} else {
  await build({ ...common, entryPoints: ['src/extension.ts'], outfile: 'dist/extension.js', minify: true });
}
