// What the server is told at its start: the editor's layer of settings, and trust.
// A setting that was left alone is left out, so the layers below it count.

import * as vscode from 'vscode';

const NAMES = ['model', 'baseUrl', 'keyEnv', 'target', 'iterations', 'maxUsd', 'edits'] as const;

export function baseUrl(): string {
  return vscode.workspace.getConfiguration('whet').get<string>('baseUrl', '');
}

export function initializationOptions(
  python: string | undefined, apiKey: string | undefined,
): Record<string, unknown> {
  const settings = vscode.workspace.getConfiguration('whet', vscode.workspace.workspaceFolders?.[0]);
  const options: Record<string, unknown> = { trusted: vscode.workspace.isTrusted };
  for (const name of NAMES) {
    const value = given(settings, name);
    if (value !== undefined && value !== null && value !== '') { options[name] = value; }
  }
  if (python) { options['python'] = python; }
  if (apiKey) { options['apiKey'] = apiKey; }
  return options;
}

/** The value somebody set, undefined where only our default speaks. */
function given(settings: vscode.WorkspaceConfiguration, name: string): unknown {
  const layers = settings.inspect(name);
  return layers?.workspaceFolderValue ?? layers?.workspaceValue ?? layers?.globalValue;
}
