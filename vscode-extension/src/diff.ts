// The diff: the candidate on the left, the real file on the right. The right side is the
// user's own buffer, so single hunks are taken with the editor's own arrows, typing goes on,
// and undo is the file's undo.

import * as path from 'node:path';
import * as vscode from 'vscode';
import type { Server } from './client';
import { messages } from './protocol';
import type { Content, Run } from './protocol';
import type { Runs } from './runs';

export const SCHEME = 'whet';

export class Diffs implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private readonly listener: vscode.Disposable;
  readonly onDidChange = this.changed.event;

  constructor(private readonly server: () => Server, runs: Runs) {
    // A better candidate: what is shown follows.
    this.listener = runs.onDidChange(run => { if (run?.best) { this.changed.fire(uriOf(run)); } });
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const content = await this.server().running.sendRequest<Content>(messages.content, { run: uri.query });
    return content.text;
  }

  async show(run: Run): Promise<void> {
    const real = vscode.Uri.parse(run.uri);
    const label = run.best?.label ?? 'candidate';
    const title = `${path.basename(real.fsPath)}: Whet's ${run.kernel} (${label}) ↔ yours`;
    await vscode.commands.executeCommand('vscode.diff', uriOf(run), real, title, { preview: true });
  }

  /** The evidence for the user's own edit, drawn by the editor's markdown preview. */
  async showEvidence(run: Run): Promise<void> {
    const page = uriOf(run).with({ path: `${vscode.Uri.parse(run.uri).path}.md` });
    await vscode.commands.executeCommand('markdown.showPreview', page);
  }

  /** The run whose diff is open in the active editor, if one is. */
  active(): string | undefined {
    const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
    const shown = input instanceof vscode.TabInputTextDiff && input.original.scheme === SCHEME;
    return shown ? input.original.query : undefined;
  }

  /** Closes the run's diff wherever it is open: after an accept both sides are equal. */
  async close(run: string): Promise<void> {
    const open = vscode.window.tabGroups.all.flatMap(group => group.tabs).filter(tab =>
      tab.input instanceof vscode.TabInputTextDiff
      && tab.input.original.scheme === SCHEME && tab.input.original.query === run);
    await vscode.window.tabGroups.close(open, true);
  }

  dispose(): void {
    this.listener.dispose();
    this.changed.dispose();
  }

  follow(): vscode.Disposable {
    const set = () => void vscode.commands.executeCommand('setContext', 'whet.inDiff', this.active() !== undefined);
    return vscode.Disposable.from(
      vscode.window.tabGroups.onDidChangeTabs(set), vscode.window.tabGroups.onDidChangeTabGroups(set));
  }
}

/** The name ends like the real file's, so it is coloured alike; the server reads `file:` only. */
function uriOf(run: Run): vscode.Uri {
  return vscode.Uri.from({ scheme: SCHEME, path: vscode.Uri.parse(run.uri).path, query: run.run });
}
