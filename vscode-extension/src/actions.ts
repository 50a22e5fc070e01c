// What the user asks for by command, menu or status bar. Every one ends in a command of the
// server; which of them make sense at a place is the server's to say.

import * as vscode from 'vscode';
import type { Server } from './client';
import type { Diffs } from './diff';
import { commands } from './protocol';
import type { Applied, Run } from './protocol';
import type { Runs } from './runs';
import { accept as acceptTitle, progress } from './words';

export class Actions {
  constructor(
    private readonly server: Server,
    private readonly runs: Runs,
    private readonly diffs: Diffs,
  ) {}

  /** The first code action of this kind at the cursor. */
  async atCursor(kind: string, otherwise: string): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (editor === undefined) { return; }
    this.server.running; // a missing server is said by its own sentence
    const offered = await vscode.commands.executeCommand<vscode.CodeAction[]>(
      'vscode.executeCodeActionProvider', editor.document.uri, editor.selection, kind);
    const command = offered.find(action => action.command?.command.startsWith('whet.'))?.command;
    if (command === undefined) {
      void vscode.window.showInformationMessage(otherwise);
      return;
    }
    await vscode.commands.executeCommand(command.command, ...(command.arguments ?? []));
  }

  async cancel(target?: Run): Promise<void> {
    const run = target ?? await this.pick(this.runs.running, 'Cancel which run?');
    if (run) { await this.server.execute(commands.cancel, { run: run.run }); }
  }

  async showDiff(target?: Run): Promise<void> {
    const run = target ?? await this.pick(this.runs.offers, 'Show the diff of which run?');
    if (run) { await this.diffs.show(run); }
  }

  async accept(target?: Run): Promise<void> {
    const open = this.runs.get(this.diffs.active() ?? '');
    const run = target ?? open ?? await this.pick(this.runs.offers, 'Accept which result?');
    if (run === undefined) { return; }
    const answer = await this.server.execute<Applied | null>(commands.apply, { run: run.run });
    await this.applied(run.run, answer ?? { applied: false });
  }

  async reject(target?: Run): Promise<void> {
    const run = target ?? await this.pick(this.runs.offers, 'Reject which result?');
    if (run === undefined) { return; }
    await this.server.execute(commands.reject, { run: run.run });
    await this.settled(run.run);
  }

  /** The status bar's menu: what can be done with each run, most wanted first. */
  async menu(): Promise<void> {
    const items = this.runs.all.flatMap(run => this.entries(run));
    if (items.length === 0) {
      void vscode.window.showInformationMessage('No Whet runs in this window yet.');
      return;
    }
    const picked = await vscode.window.showQuickPick(items, { title: 'Whet', matchOnDescription: true });
    await picked?.act();
  }

  async applied(run: string, answer: Applied): Promise<void> {
    if (answer.applied) { return this.settled(run); }
    void vscode.window.showWarningMessage(answer.reason || 'The edit was not applied: the file changed meanwhile. Show the diff to compare.');
  }

  async settled(run: string): Promise<void> {
    this.runs.settle(run);
    await this.diffs.close(run);
  }

  private entries(run: Run): Entry[] {
    const entries: Entry[] = [];
    const add = (label: string, act: () => Promise<void>) =>
      entries.push({ label, description: progress(run), detail: run.sentence, act });
    if (run.best) {
      add(`$(check) ${acceptTitle(run)}`, () => this.accept(run));
      add('$(diff) Show diff', () => this.showDiff(run));
      add('$(close) Reject', () => this.reject(run));
    }
    if (run.state === 'running') { add('$(debug-stop) Cancel', () => this.cancel(run)); }
    return entries;
  }

  private async pick(runs: readonly Run[], title: string): Promise<Run | undefined> {
    if (runs.length < 2) { return runs[0]; }
    const items = runs.map(run => ({ label: progress(run), detail: run.sentence, run }));
    return (await vscode.window.showQuickPick(items, { title }))?.run;
  }
}

interface Entry extends vscode.QuickPickItem {
  act(): Promise<void>;
}
