// What is drawn without being asked for: one status bar item while there are runs, one
// language status entry, one tree. Nothing here takes the focus.

import * as path from 'node:path';
import * as vscode from 'vscode';
import type { Standing } from './client';
import type { Run, Status } from './protocol';
import type { Runs } from './runs';
import { contextValue, statusBar, treeDescription } from './words';

export function drawStatusBar(runs: Runs): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('whet.runs', vscode.StatusBarAlignment.Left, 0);
  item.name = 'Whet Runs';
  item.command = 'whet.ui.runs';
  const draw = () => {
    const text = statusBar(runs.all);
    void vscode.commands.executeCommand('setContext', 'whet.hasRuns', runs.all.length > 0);
    if (text === undefined) { item.hide(); return; }
    item.text = text;
    item.tooltip = runs.all.map(run => run.sentence || run.stage).filter(Boolean).join('\n') || 'Whet';
    item.show();
  };
  return vscode.Disposable.from(item, runs.onDidChange(draw));
}

/** The `{}` beside the language's name: what Whet sees, or why it sees nothing. */
export class LanguageStatus implements vscode.Disposable {
  private readonly item = vscode.languages.createLanguageStatusItem('whet', { language: 'python', scheme: 'file' });

  constructor() {
    this.item.name = 'Whet';
    this.item.text = 'Whet';
    this.item.command = { command: 'whet.ui.showLog', title: 'Log' };
  }

  status(status: Status): void {
    this.item.text = status.text;
  }

  busy(runs: Runs): void {
    this.item.busy = runs.running.length > 0;
  }

  standing(standing: Standing): void {
    const [text, detail] = describe(standing);
    this.item.text = text;
    this.item.detail = detail;
    this.item.severity = standing.kind === 'running' || standing.kind === 'off'
      ? vscode.LanguageStatusSeverity.Information : vscode.LanguageStatusSeverity.Warning;
  }

  dispose(): void {
    this.item.dispose();
  }
}

function describe(standing: Standing): [text: string, detail: string] {
  switch (standing.kind) {
    case 'off': return ['Whet', 'not running'];
    case 'running': return ['Whet', standing.server.because];
    case 'missing': return ['Whet: no server found', 'install it, or set whet.serverCommand'];
    case 'failed': return ['Whet: the server did not start', 'the log says why'];
  }
}

export class RunsTree implements vscode.TreeDataProvider<Run | string> {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;

  constructor(private readonly runs: Runs) {
    runs.onDidChange(() => this.changed.fire());
  }

  getChildren(parent?: Run | string): (Run | string)[] {
    if (parent === undefined) { return [...this.runs.all]; }
    return typeof parent === 'string' || !parent.sentence ? [] : [parent.sentence];
  }

  getTreeItem(element: Run | string): vscode.TreeItem {
    if (typeof element === 'string') { return new vscode.TreeItem(element); }
    const item = new vscode.TreeItem(element.kernel, vscode.TreeItemCollapsibleState.Collapsed);
    item.id = element.run;
    item.description = treeDescription(element);
    item.tooltip = `${path.basename(vscode.Uri.parse(element.uri).fsPath)}: ${element.sentence || element.stage}`;
    item.contextValue = contextValue(element);
    item.iconPath = new vscode.ThemeIcon(element.state === 'running' ? 'sync~spin' : element.best ? 'lightbulb' : 'circle-outline');
    return item;
  }
}
