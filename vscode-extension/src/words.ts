// How runs read in the status bar, the tree and the menus. Pure, so it is tested without an editor.

import type { Run } from './protocol';

/** `softmax 4/20 1.83x`: short enough for a status bar. */
export function progress(run: Run): string {
  return [run.kernel, `${run.tried}/${run.iterations}`, run.best?.label].filter(Boolean).join(' ');
}

/** The status bar's text, undefined when there is nothing to say. */
export function statusBar(runs: readonly Run[]): string | undefined {
  const running = runs.filter(run => run.state === 'running');
  const first = running[0];
  if (first !== undefined) {
    const more = running.length > 1 ? ` +${running.length - 1}` : '';
    return `$(sync~spin) ${progress(first)}${more}`;
  }
  const offer = runs.find(run => run.best !== null);
  return offer && `$(lightbulb) ${offer.kernel} ${offer.best?.label}`;
}

export function accept(run: Run): string {
  const label = run.best?.label ?? '';
  return /^\d/.test(label) ? `Accept ${label}` : `Accept (${label})`;
}

export function contextValue(run: Run): string {
  return [run.state, run.best ? 'offer' : ''].filter(Boolean).join(' ');
}

export function treeDescription(run: Run): string {
  const parts = run.state === 'running'
    ? [`${run.tried}/${run.iterations}`, run.stage, run.best?.label]
    : [run.reason ?? 'finished', run.best?.label];
  return parts.filter(Boolean).join(' · ');
}
