import { openRecordLog } from '../../../src/fleet/shell/record-log.js';

/** A process to be killed: appends numbers to the file named, and says each once it is on disk. */
const log = await openRecordLog(process.argv[2] ?? '');
for (let n = 0; ; n++) {
	await log.append([{ n, filling: 'x'.repeat(n % 300) }]);
	if (n % 50 === 49) await log.rewrite([{ all: n }]);
	process.stdout.write(`${n}\n`);
}
