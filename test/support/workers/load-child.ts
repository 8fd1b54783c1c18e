/** Loads on a process's own: test/support/workers/load-process.ts starts it with the loads as JSON, and asks over the channel. */
import { type Load, type LoadOptions, startLoad } from './load.js';
import type { LoadAnswer, LoadAsk } from './load-process.js';

const tickMs = 50;

const options = JSON.parse(process.argv[2] ?? '{}') as Record<string, LoadOptions>;
const loads = Object.entries(options).map(([name, one]) => [name, startLoad(one)] as const);

function tell(answer: LoadAnswer): void {
	if (process.connected) process.send?.(answer);
}

/** By name, what `of` says of each load. */
async function each<Value>(of: (load: Load) => Value | Promise<Value>): Promise<Record<string, Value>> {
	return Object.fromEntries(await Promise.all(loads.map(async ([name, load]) => [name, await of(load)] as const)));
}

const sum = (of: (load: Load) => number): number => loads.reduce((total, [, load]) => total + of(load), 0);
setInterval(() => tell({ answer: 'count', ok: sum((load) => load.ok), lost: sum((load) => load.lost) }), tickMs);

process.on('message', async ({ ask }: LoadAsk) => {
	if (ask === 'lap') tell({ answer: 'lap', laps: await each((load) => load.lap()) });
	else tell({ answer: 'reports', reports: await each((load) => load.stop()) });
});
process.once('disconnect', () => process.exit());
