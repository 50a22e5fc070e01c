// Which Python runs the user's kernels: the setting, else what the Python Environments
// extension or ms-python says. Works without either of them, and waits for neither for long.

import * as vscode from 'vscode';
import type { Interpreter } from './discovery';

/** Another extension's activation must not hold ours up. */
const PATIENCE_MS = 5000;

export async function chosenInterpreters(
  folder: vscode.Uri | undefined, log: vscode.LogOutputChannel,
): Promise<Interpreter[]> {
  const found: Interpreter[] = [];
  const named = vscode.workspace.getConfiguration('whet', folder).get<string>('python', '');
  if (named) { found.push({ python: named, because: 'named by the setting whet.python' }); }
  const asked: [id: string, because: string, ask: (api: unknown) => Promise<string | undefined>][] = [
    ['ms-python.vscode-python-envs', 'chosen in the Python Environments extension', api => fromEnvironments(api, folder)],
    ['ms-python.python', 'chosen in the Python extension', api => fromPython(api, folder)],
  ];
  for (const [id, because, ask] of asked) {
    const extension = vscode.extensions.getExtension(id);
    if (extension === undefined) { continue; }
    try {
      const python = await withPatience(Promise.resolve(extension.activate()).then(ask));
      if (python) { found.push({ python, because }); }
    } catch (error) {
      log.warn(`${id} did not say which interpreter is chosen: ${String(error)}`);
    }
  }
  return found;
}

interface EnvironmentsApi {
  getEnvironment(scope: vscode.Uri | undefined): Promise<{
    execInfo?: { run?: { executable?: string } };
  } | undefined>;
}

async function fromEnvironments(api: unknown, folder: vscode.Uri | undefined): Promise<string | undefined> {
  const environment = await (api as EnvironmentsApi).getEnvironment(folder);
  return environment?.execInfo?.run?.executable;
}

interface PythonApi {
  environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { path: string };
    resolveEnvironment(environment: { path: string }): Promise<{
      executable: { uri?: vscode.Uri };
    } | undefined>;
  };
}

async function fromPython(api: unknown, folder: vscode.Uri | undefined): Promise<string | undefined> {
  const { environments } = api as PythonApi;
  const environment = await environments.resolveEnvironment(environments.getActiveEnvironmentPath(folder));
  return environment?.executable.uri?.fsPath;
}

async function withPatience<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
