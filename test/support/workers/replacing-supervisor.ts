/** A supervisor in a process of its own that replaces its workers at once and tells its progress, to be killed in the middle. */
import type { StartsFrom, WorkerApp } from '../../../src/workers/types.js';
import { createFor } from './supervised.js';

const { app, folder, from } = JSON.parse(process.argv[2] ?? '') as { app: WorkerApp; folder: string; from: StartsFrom };
const supervisor = createFor(app, folder);
await supervisor.start();
await supervisor.replace({
	only: null,
	apps: [app],
	deadlineMs: 60_000,
	from,
	onProgress: (text) => process.stdout.write(`${text}\n`),
});
process.stdout.write('done\n');
await supervisor.detach();
process.exit(0);
