// Finds the server, starts it, stops it. One server for the window, whatever its folders.

import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import * as os from 'node:os';
import * as vscode from 'vscode';
import { DidChangeConfigurationNotification, ExecuteCommandRequest, LanguageClient, RevealOutputChannelOn } from 'vscode-languageclient/node';
import type { ClientCapabilities, FeatureState, LanguageClientOptions, StaticFeature } from 'vscode-languageclient/node';
import { findServer } from './discovery';
import type { Found, Interpreter, NotFound, Probe } from './discovery';
import { chosenInterpreters } from './interpreters';
import type { Keys } from './keys';
import { baseUrl, initializationOptions } from './options';
import { commands } from './protocol';
import type { Applied } from './protocol';

export interface Hooks {
  /** The server's `whet.showDiff`, from a lens or a code action: the editor draws it. */
  showDiff(run: string): Promise<void>;
  applied(run: string, answer: Applied): void;
  rejected(run: string): void;
}

/** What became of the last start. */
export type Standing =
  | { readonly kind: 'off' }
  | { readonly kind: 'running'; readonly server: Found }
  | { readonly kind: 'missing'; readonly looked: readonly string[] }
  | { readonly kind: 'failed'; readonly reason: string };

export class Server implements vscode.Disposable {
  private client: LanguageClient | undefined;
  private queue: Promise<void> = Promise.resolve();
  private readonly stood = new vscode.EventEmitter<Standing>();
  private readonly started = new vscode.EventEmitter<LanguageClient>();
  readonly onDidStand = this.stood.event;
  /** Fires before the server can say anything: the place to listen to its notifications. */
  readonly onWillStart = this.started.event;

  constructor(
    private readonly log: vscode.LogOutputChannel,
    private readonly keys: Keys,
    private readonly hooks: Hooks,
  ) {}

  /** The running client. Throws one sentence with the cure when there is none. */
  get running(): LanguageClient {
    if (this.client?.isRunning()) { return this.client; }
    throw new Error('The Whet server is not running: see the log by "Whet: Show Log", or name it in the setting whet.serverCommand.');
  }

  async execute<T>(command: string, argument: object): Promise<T> {
    return await this.running.sendRequest(ExecuteCommandRequest.type, { command, arguments: [{ v: 1, ...argument }] }) as T;
  }

  /** Starts, or starts again with fresh settings. Never throws: `onDidStand` tells. */
  restart(): Promise<void> {
    this.queue = this.queue.then(() => this.doStop()).then(() => this.doStart());
    return this.queue;
  }

  /** Sends the settings as they are now; what runs keeps those it began with. */
  configure(): Promise<void> {
    this.queue = this.queue.then(async () => {
      if (!this.client?.isRunning()) { return this.doStart(); }
      const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
      const [python] = await chosenInterpreters(folder, this.log);
      const whet = initializationOptions(python?.python, await this.keys.get(baseUrl()));
      await this.client.sendNotification(DidChangeConfigurationNotification.type, { settings: { whet } });
    });
    return this.queue;
  }

  stop(): Promise<void> {
    this.queue = this.queue.then(() => this.doStop());
    return this.queue;
  }

  dispose(): void {
    void this.stop();
    this.stood.dispose();
    this.started.dispose();
  }

  private async doStart(): Promise<void> {
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    const interpreters = await chosenInterpreters(folder, this.log);
    const found = await this.find(folder, interpreters);
    if (!('command' in found)) {
      this.log.warn(`No Whet server: looked ${found.looked.join('; ')}. Install it in an environment of its own, or name it in whet.serverCommand.`);
      this.stood.fire({ kind: 'missing', looked: found.looked });
      return;
    }
    this.log.info(`Server: ${[found.command, ...found.args].join(' ')} (${found.because}).`);
    const python = interpreters[0];
    this.log.info(python ? `Kernels' Python: ${python.python} (${python.because}).` : 'Kernels\' Python: the server looks for it.');
    const apiKey = await this.keys.get(baseUrl());
    // No transport is named: naming stdio would add `--stdio` to the arguments.
    const executable = { command: found.command, args: [...found.args] };
    const client = new LanguageClient('whet', 'Whet', executable, this.options(python?.python, apiKey));
    client.registerFeature(new Experimental());
    this.client = client;
    this.started.fire(client);
    try {
      await client.start();
      this.stood.fire({ kind: 'running', server: found });
    } catch (error) {
      this.log.error(`The server did not start: ${String(error)}`);
      this.stood.fire({ kind: 'failed', reason: String(error) });
    }
  }

  private find(folder: vscode.Uri | undefined, interpreters: Interpreter[]): Promise<Found | NotFound> {
    const settings = vscode.workspace.getConfiguration('whet', folder);
    return findServer({
      serverCommand: settings.get<string[]>('serverCommand', []),
      // A folder that nobody trusts does not get to say which program starts.
      interpreters: vscode.workspace.isTrusted ? interpreters : [],
      pathVariable: process.env['PATH'] ?? '',
      home: os.homedir(),
      windows: process.platform === 'win32',
    }, probe);
  }

  private async doStop(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    if (client === undefined) { return; }
    try {
      await client.dispose(2000);
    } catch (error) {
      this.log.warn(`The server did not stop in order: ${String(error)}`);
    }
    this.stood.fire({ kind: 'off' });
  }

  private options(python: string | undefined, apiKey: string | undefined): LanguageClientOptions {
    return {
      documentSelector: [{ scheme: 'file', language: 'python' }],
      outputChannel: this.log,
      traceOutputChannel: hiding(this.log, this.keys),
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationOptions: initializationOptions(python, apiKey),
      initializationFailedHandler: () => false, // said by `onDidStand`; no dialog
      middleware: {
        executeCommand: async (command, args, next) => {
          const run: string = args[0]?.run ?? '';
          if (command === commands.showDiff) { return this.hooks.showDiff(run); }
          const answer = await next(command, args);
          if (command === commands.apply) { this.hooks.applied(run, answer ?? { applied: false }); }
          if (command === commands.reject) { this.hooks.rejected(run); }
          return answer;
        },
        // VS Code resolves every action; a command needs no round trip, and while one lasts the
        // menu's actions may be renewed and their commands forgotten.
        resolveCodeAction: (action, token, next) => action.command ? action : next(action, token),
      },
    };
  }
}

/** The log for traces, which never shows a key, however much tracing is turned on. */
function hiding(log: vscode.LogOutputChannel, keys: Keys): vscode.LogOutputChannel {
  const trace = (message: string, ...rest: unknown[]) => log.trace(keys.hide(message), ...rest);
  return new Proxy(log, {
    get: (target, name) => {
      const value: unknown = name === 'trace' ? trace : Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Tells the server that it may speak of runs. */
class Experimental implements StaticFeature {
  fillClientCapabilities(capabilities: ClientCapabilities): void {
    capabilities.experimental = { ...capabilities.experimental as object, whet: true };
  }
  initialize(): void { /* nothing to register */ }
  getState(): FeatureState { return { kind: 'static' }; }
  clear(): void { /* nothing was registered */ }
}

const probe: Probe = {
  isFile: async file => (await stat(file).catch(() => undefined))?.isFile() ?? false,
  hasServer: python => new Promise(resolve => {
    const question = 'import importlib.util, sys; sys.exit(importlib.util.find_spec("whet_server") is None)';
    execFile(python, ['-I', '-c', question], { timeout: 5000 }, error => resolve(error === null));
  }),
};
