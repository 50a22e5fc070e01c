// The runs that the server told of, newest change first. What it says is kept as it came;
// the only thing added is which offers were taken or turned down in this window.

import * as vscode from 'vscode';
import type { Best, Run } from './protocol';

export class Runs {
  private readonly known = new Map<string, Run>();
  private readonly settled = new Map<string, string>();
  private readonly changed = new vscode.EventEmitter<Run | undefined>();
  /** The run that changed, undefined when many did. */
  readonly onDidChange = this.changed.event;

  get all(): readonly Run[] {
    return [...this.known.values()].reverse();
  }

  get(run: string): Run | undefined {
    return this.known.get(run);
  }

  update(run: Run): void {
    const settled = run.best !== null && this.settled.get(run.run) === run.best.candidate;
    this.known.delete(run.run); // so that the newest comes last
    this.known.set(run.run, settled ? { ...run, best: null } : run);
    this.changed.fire(run);
  }

  /** The run's offer was accepted or rejected: it is offered no more, a better one would be. */
  settle(run: string): void {
    const known = this.known.get(run);
    if (known?.best) { this.settled.set(run, known.best.candidate); }
    if (known) { this.update(known); }
  }

  /** A new server: what the old one ran is gone. */
  clear(): void {
    this.known.clear();
    this.changed.fire(undefined);
  }

  get running(): readonly Run[] {
    return this.all.filter(run => run.state === 'running');
  }

  get offers(): readonly (Run & { best: Best })[] {
    return this.all.filter((run): run is Run & { best: Best } => run.best !== null);
  }
}
