// Ends, once it has cleaned up, by the signal that it was told: it takes its handlers away and raises it again. HOW says
// in which manner: `hooks` as frameworks do that run shutdown hooks, `count` as the module signal-exit does, which leaves
// the end to other handlers if there are any; `both` as an app does that uses both.
import fs = require('node:fs');
import http = require('node:http');

const how = process.env['HOW'];
const signals = ['SIGINT', 'SIGTERM'] as const;
const note = (word: string): void => fs.appendFileSync(String(process.env['DIARY']), `${word}\n`);

const runHooks = async (signal: NodeJS.Signals): Promise<void> => {
	note('hooks begin');
	await new Promise((resolve) => setTimeout(resolve, Number(process.env['HOOKS_MS'])));
	note('hooks end');
	for (const one of signals) process.removeListener(one, runHooks);
	process.kill(process.pid, signal);
};

const endIfAlone = (signal: NodeJS.Signals): void => {
	if (process.listeners(signal).length > 1) return;
	note('alone');
	for (const one of signals) process.removeListener(one, endIfAlone);
	process.kill(process.pid, signal);
};

for (const signal of signals) {
	if (how !== 'count') process.on(signal, runHooks);
	if (how !== 'hooks') process.on(signal, endIfAlone);
}
http.createServer((_request, response) => response.end(String(process.pid))).listen(Number(process.env['PORT']));
