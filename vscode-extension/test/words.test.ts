import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Run } from '../src/protocol';
import { accept, contextValue, statusBar, treeDescription } from '../src/words';

const run: Run = {
  run: 'r1', uri: 'file:///k.py', kernel: 'softmax', goal: 'optimize', state: 'running', stage: 'tests',
  tried: 4, iterations: 20, best: null, sentence: '', reason: null,
};
const timed = { candidate: 'c7', speedup: { ratio: 1.83, low: 1.8, high: 1.86 }, label: '1.83x' };
const untimed = { candidate: 'c7', speedup: null, label: 'correct, untimed' };

const bars: [runs: Run[], text: string | undefined][] = [
  [[], undefined],
  [[run], '$(sync~spin) softmax 4/20'],
  [[{ ...run, best: timed }], '$(sync~spin) softmax 4/20 1.83x'],
  [[run, { ...run, run: 'r2', kernel: 'flip' }], '$(sync~spin) softmax 4/20 +1'],
  [[{ ...run, state: 'finished' }], undefined],
  [[{ ...run, state: 'finished', best: untimed }], '$(lightbulb) softmax correct, untimed'],
];
for (const [runs, text] of bars) {
  test(`status bar: ${text}`, () => assert.equal(statusBar(runs), text));
}

test('a time is accepted by its number, anything else in brackets', () => {
  assert.equal(accept({ ...run, best: timed }), 'Accept 1.83x');
  assert.equal(accept({ ...run, best: untimed }), 'Accept (correct, untimed)');
});

test('menus of the tree go by state and offer', () => {
  assert.equal(contextValue(run), 'running');
  assert.equal(contextValue({ ...run, best: timed }), 'running offer');
  assert.equal(contextValue({ ...run, state: 'finished', best: timed }), 'finished offer');
});

test('the tree says why a run ended', () => {
  assert.equal(treeDescription(run), '4/20 · tests');
  assert.equal(treeDescription({ ...run, state: 'finished', reason: 'cancelled', best: timed }), 'cancelled · 1.83x');
});
