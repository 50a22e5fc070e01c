import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findServer } from '../src/discovery';
import type { Found, NotFound, Places, Probe } from '../src/discovery';

const nowhere: Places = {
  serverCommand: [], interpreters: [], pathVariable: '/usr/bin:relative:/opt/bin', home: '/home/me', windows: false,
};
const chosen = { python: '/env/bin/python', because: 'named by the setting whet.python' };

function machine({ files = [], pythons = [] }: { files?: string[]; pythons?: string[] }): Probe {
  return {
    isFile: async file => files.includes(file),
    hasServer: async python => pythons.includes(python),
  };
}

async function check(places: Partial<Places>, probe: Probe, expected: Found | NotFound): Promise<void> {
  assert.deepEqual(await findServer({ ...nowhere, ...places }, probe), expected);
}

test('the setting wins over everything', () => check(
  { serverCommand: ['/s/whet', 'serve'], interpreters: [chosen] },
  machine({ files: ['/env/bin/whet', '/usr/bin/whet'] }),
  { command: '/s/whet', args: ['serve'], because: 'named by the setting whet.serverCommand' }));

test('then the script beside the chosen interpreter', () => check(
  { interpreters: [chosen] },
  machine({ files: ['/env/bin/whet', '/usr/bin/whet'] }),
  { command: '/env/bin/whet', args: ['serve'], because: 'beside /env/bin/python, named by the setting whet.python' }));

test('then the package inside it', () => check(
  { interpreters: [chosen] },
  machine({ files: ['/usr/bin/whet'], pythons: ['/env/bin/python'] }),
  {
    command: '/env/bin/python', args: ['-m', 'whet_server', 'serve'],
    because: 'installed for /env/bin/python, named by the setting whet.python',
  }));

test('then PATH, whose relative entries a project could fill', () => check(
  { interpreters: [chosen] },
  machine({ files: ['relative/whet', '/opt/bin/whet'] }),
  { command: '/opt/bin/whet', args: ['serve'], because: 'found on PATH' }));

test('then the folder of pipx and uv, which a desktop session lacks on PATH', () => check(
  {}, machine({ files: ['/home/me/.local/bin/whet'] }),
  { command: '/home/me/.local/bin/whet', args: ['serve'], because: 'found where pipx and uv put tools' }));

test('nothing found tells every place', () => check(
  { interpreters: [chosen] }, machine({}),
  { looked: ['beside /env/bin/python, named by the setting whet.python', 'on PATH', 'in ~/.local/bin'] }));
