// Where the server is. The first place that has one wins, and the log tells which and why:
// the setting, the interpreter named in `whet.python`, the interpreter chosen in a Python
// extension, PATH, and the folder where pipx and uv put tools. Pure but for its `Probe`.

import * as path from 'node:path';

export interface Probe {
  isFile(file: string): Promise<boolean>;
  /** Whether `python` can import the server: a short child process. */
  hasServer(python: string): Promise<boolean>;
}

export interface Interpreter {
  readonly python: string;
  /** Continues the sentence "looked beside PYTHON, ...". */
  readonly because: string;
}

export interface Places {
  readonly serverCommand: readonly string[];
  readonly interpreters: readonly Interpreter[];
  readonly pathVariable: string;
  readonly home: string;
  readonly windows: boolean;
}

export interface Found {
  readonly command: string;
  readonly args: readonly string[];
  readonly because: string;
}

export interface NotFound {
  readonly looked: readonly string[];
}

export async function findServer(places: Places, probe: Probe): Promise<Found | NotFound> {
  const [command, ...args] = places.serverCommand;
  if (command !== undefined) {
    return { command, args, because: 'named by the setting whet.serverCommand' };
  }
  const looked: string[] = [];
  for (const { python, because } of places.interpreters) {
    const found = await beside(python, because, places.windows, probe);
    if (found) { return found; }
    looked.push(`beside ${python}, ${because}`);
  }
  for (const [folder, because] of folders(places)) {
    const script = path.join(folder, scriptName(places.windows));
    if (await probe.isFile(script)) { return { command: script, args: ['serve'], because }; }
  }
  looked.push('on PATH', 'in ~/.local/bin');
  return { looked };
}

async function beside(
  python: string, because: string, windows: boolean, probe: Probe,
): Promise<Found | undefined> {
  const script = path.join(path.dirname(python), scriptName(windows));
  if (path.isAbsolute(python) && await probe.isFile(script)) {
    return { command: script, args: ['serve'], because: `beside ${python}, ${because}` };
  }
  if (await probe.hasServer(python)) {
    return { command: python, args: ['-m', 'whet_server', 'serve'], because: `installed for ${python}, ${because}` };
  }
  return undefined;
}

function folders(places: Places): [folder: string, because: string][] {
  const separator = places.windows ? ';' : ':';
  const onPath = places.pathVariable.split(separator).filter(path.isAbsolute);
  return [
    ...onPath.map((folder): [string, string] => [folder, 'found on PATH']),
    [path.join(places.home, '.local', 'bin'), 'found where pipx and uv put tools'],
  ];
}

function scriptName(windows: boolean): string {
  return windows ? 'whet.exe' : 'whet';
}
