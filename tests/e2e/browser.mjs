// Lends a headless Chromium to the Python tests: one JSON request a line on stdin, one JSON
// answer a line on stdout. Knows nothing of Whet.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [executablePath] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
const page = await context.newPage();
const place = ({ selector, text }) => page.locator(selector, text === undefined ? {} : { hasText: text }).first();

const verbs = {
  goto: ({ url }) => page.goto(url, { waitUntil: 'domcontentloaded' }).then(() => null),
  wait: request => place(request).waitFor({ state: request.state ?? 'visible', timeout: request.timeout_ms }),
  click: request => place(request).click({ timeout: request.timeout_ms }),
  texts: ({ selector }) => page.locator(selector).allTextContents(),
  press: ({ keys }) => page.keyboard.press(keys),
  type: ({ text }) => page.keyboard.type(text, { delay: 5 }),
  fill: request => place(request).fill(request.value),
  screenshot: ({ path }) => page.screenshot({ path }).then(() => null),
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = { result: await verbs[request.verb](request) ?? null };
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}
// The context first: extension hosts of a browser that just vanished stay for hours.
await context.close();
await browser.close();
