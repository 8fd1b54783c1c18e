/**
 * A stand-in for a daemon or worker host that has to be ended: holds the lock named on its command line, says so, and
 * leaves on SIGTERM, unless it was told to be `stubborn`.
 */
import { acquireLock } from '../../../src/system/files/process-lock.js';

const [path = '', manner = 'polite'] = process.argv.slice(2);
await acquireLock(path);
process.on('SIGTERM', () => {
	if (manner === 'polite') process.exit(0);
});
setInterval(() => undefined, 60_000);
process.stdout.write('holding\n');
