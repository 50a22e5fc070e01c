// What the server says beyond the language server protocol. It says it only because the
// client declared `experimental.whet`; every message here has a twin in plain protocol.

export interface Speedup {
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
}

export interface Best {
  readonly candidate: string;
  /** null: every test passed, but no clock has spoken. */
  readonly speedup: Speedup | null;
  /** `1.83x` or `correct, untimed`: shown as it is. */
  readonly label: string;
}

export interface Run {
  readonly run: string;
  readonly uri: string;
  readonly kernel: string;
  /** `verify`: the user's own edit, judged against git's HEAD; its evidence is a page of `content`. */
  readonly goal: 'optimize' | 'fix' | 'test' | 'verify';
  readonly state: 'running' | 'finished';
  readonly stage: string;
  readonly tried: number;
  readonly iterations: number;
  readonly best: Best | null;
  /** For the reader, cure included. */
  readonly sentence: string;
  readonly reason: string | null;
}

export interface Status {
  readonly text: string;
  readonly kernels: number;
  readonly target: string;
}

export interface Content {
  /** The whole file with the candidate in it, and as the run found it; of `verify` the page of evidence. */
  readonly text: string;
  readonly original: string;
}

export interface Applied {
  readonly applied: boolean;
  readonly reason?: string | null;
}

export const messages = {
  runChanged: 'whet/runChanged',
  status: 'whet/status',
  listRuns: 'whet/listRuns',
  content: 'whet/content',
} as const;

/** The server's commands, each taking one versioned object. Ours are all `whet.ui.*`. */
export const commands = {
  cancel: 'whet.cancel',
  apply: 'whet.apply',
  reject: 'whet.reject',
  showDiff: 'whet.showDiff',
} as const;
