// The model's key in the editor's secret storage, one for each endpoint. It travels to the
// server in the initialize request only: never in settings, arguments, environment or log.
// Where secret storage does not work, the server also takes an environment variable, a key
// file or a key command.

import * as vscode from 'vscode';

export class Keys {
  private readonly given = new Set<string>();
  readonly onDidChange: vscode.Event<unknown>;

  constructor(private readonly secrets: vscode.SecretStorage, private readonly log: vscode.LogOutputChannel) {
    this.onDidChange = secrets.onDidChange;
  }

  async get(baseUrl: string): Promise<string | undefined> {
    try {
      const key = await this.secrets.get(slot(baseUrl));
      if (key) { this.given.add(key); }
      return key;
    } catch (error) {
      this.log.warn(`This editor's secret storage does not work (${String(error)}): set WHET_API_KEY, or key_file or key_command in Whet's config.toml.`);
      return undefined;
    }
  }

  /** The text without any key that was ever handed out. */
  hide(text: string): string {
    return [...this.given].reduce((hidden, key) => hidden.replaceAll(key, '(hidden)'), text);
  }

  async ask(baseUrl: string): Promise<void> {
    const key = await vscode.window.showInputBox({
      title: `API key for ${place(baseUrl)}`,
      prompt: 'Kept in this editor\'s secret storage and sent to that endpoint only.',
      password: true,
      ignoreFocusOut: true,
    });
    if (!key) { return; }
    try {
      await this.secrets.store(slot(baseUrl), key.trim());
    } catch {
      void vscode.window.showErrorMessage('This editor\'s secret storage does not work: set WHET_API_KEY, or key_file or key_command in Whet\'s config.toml.');
    }
  }

  async forget(baseUrl: string): Promise<void> {
    await this.secrets.delete(slot(baseUrl));
  }
}

/** A key is bound to the origin it was given for: another `whet.baseUrl` finds another slot. */
function slot(baseUrl: string): string {
  return `whet.key ${place(baseUrl)}`;
}

function place(baseUrl: string): string {
  try {
    return new URL(baseUrl).origin;
  } catch {
    return 'the endpoint of your config.toml';
  }
}
