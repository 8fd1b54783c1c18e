/** A worker host as a process of its own, for tests: `node worker-host.js <worker folder>`. */
import { runHost } from '../../../src/workers/host/host.js';

const [workerDir = ''] = process.argv.slice(2);
runHost(workerDir, null, { maxSizeBytes: 64 * 1_024, keep: 3 }).then(
	() => process.exit(0),
	(error: unknown) => {
		process.stderr.write(`${String(error)}\n`);
		process.exit(1);
	},
);
