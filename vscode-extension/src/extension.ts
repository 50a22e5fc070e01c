// Wires the parts. The extension starts the server and draws what it says; every decision
// about kernels, tests and candidates is the server's.

import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';
import { Actions } from './actions';
import { Server } from './client';
import { Diffs, SCHEME } from './diff';
import { drawStatusBar, LanguageStatus, RunsTree } from './display';
import { Keys } from './keys';
import { baseUrl } from './options';
import { messages } from './protocol';
import type { Run, Status } from './protocol';
import { Runs } from './runs';

let server: Server | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel('Whet', { log: true });
  const keys = new Keys(context.secrets, log);
  const runs = new Runs();
  const status = new LanguageStatus();
  const diffs = new Diffs(() => started, runs);
  const started = new Server(log, keys, {
    showDiff: async run => { await actions.showDiff(runs.get(run)); },
    applied: (run, answer) => void actions.applied(run, answer),
    rejected: run => void actions.settled(run),
  });
  const actions = new Actions(started, runs, diffs);
  server = started;
  context.subscriptions.push(
    log, status, diffs, started, drawStatusBar(runs), diffs.follow(),
    vscode.window.registerTreeDataProvider('whet.runs', new RunsTree(runs)),
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, diffs),
    runs.onDidChange(() => status.busy(runs)),
    started.onWillStart(client => listen(client, runs, status, diffs)),
    started.onDidStand(standing => {
      status.standing(standing);
      void vscode.commands.executeCommand('setContext', 'whet.serverRunning', standing.kind === 'running');
      if (standing.kind === 'running') { void recall(started, runs); } else { runs.clear(); }
    }),
    ...registerCommands(started, actions, keys, log),
    ...followSettings(started, keys),
  );
  await started.restart();
}

export async function deactivate(): Promise<void> {
  await server?.stop();
}

function listen(client: LanguageClient, runs: Runs, status: LanguageStatus, diffs: Diffs): void {
  client.onNotification(messages.runChanged, (run: Run) => {
    const ended = runs.get(run.run)?.state === 'running' && run.state === 'finished';
    runs.update(run);
    if (ended) { void tell(run, diffs); }
  });
  client.onNotification(messages.status, (said: Status) => status.status(said));
}

/** How a run ended, where nothing else shows it: an offer has its own lens and status bar. */
async function tell(run: Run, diffs: Diffs): Promise<void> {
  if (run.best !== null || run.reason === 'cancelled' || !run.sentence) { return; }
  const buttons = run.reason === 'verified' ? ['Show Evidence'] : [];
  const picked = await vscode.window.showInformationMessage(`${run.kernel}: ${run.sentence}`, ...buttons);
  if (picked !== undefined) { await diffs.showEvidence(run); }
}

/** Runs of before this window, for instance stopped ones with something to offer. */
async function recall(started: Server, runs: Runs): Promise<void> {
  const known = await started.running.sendRequest<Run[]>(messages.listRuns, {}).catch(() => []);
  for (const run of [...known].reverse()) {
    if (runs.get(run.run) === undefined && (run.state === 'running' || run.best)) { runs.update(run); }
  }
}

function registerCommands(
  started: Server, actions: Actions, keys: Keys, log: vscode.LogOutputChannel,
): vscode.Disposable[] {
  const all: Record<string, (run?: Run) => unknown> = {
    optimize: () => actions.atCursor('refactor.rewrite.whet.optimize', 'There is no Triton kernel at the cursor: put it on a function under @triton.jit.'),
    fix: () => actions.atCursor('quickfix.whet.fixTest', 'No test of the kernel at the cursor is known to fail: choose "Run its tests" first.'),
    verify: () => actions.atCursor('whet.verify', 'The kernel at the cursor is as git has it at HEAD: there is no change of yours to verify.'),
    runs: () => actions.menu(),
    cancel: run => actions.cancel(run),
    showDiff: run => actions.showDiff(run),
    accept: run => actions.accept(isRun(run) ? run : undefined),
    reject: run => actions.reject(run),
    setKey: () => keys.ask(baseUrl()),
    clearKey: () => keys.forget(baseUrl()),
    showLog: () => log.show(),
    restart: () => started.restart(),
    walkthrough: () => vscode.commands.executeCommand('workbench.action.openWalkthrough', 'whet.whet#start'),
  };
  return Object.entries(all).map(([name, act]) =>
    vscode.commands.registerCommand(`whet.ui.${name}`, async (run?: Run) => {
      try {
        await act(run);
      } catch (error) { // the server's one sentence with its cure
        void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
      }
    }));
}

/** The diff editor's title button passes a file, the tree a run. */
function isRun(value: unknown): value is Run {
  return typeof value === 'object' && value !== null && 'run' in value;
}

/** Another program needs another server; the rest is told to the one that runs. */
function followSettings(started: Server, keys: Keys): vscode.Disposable[] {
  return [
    vscode.workspace.onDidChangeConfiguration(event => {
      if (event.affectsConfiguration('whet.serverCommand')) {
        void started.restart();
      } else if (event.affectsConfiguration('whet')) {
        void started.configure();
      }
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void started.configure()),
    keys.onDidChange(() => void started.configure()),
  ];
}
