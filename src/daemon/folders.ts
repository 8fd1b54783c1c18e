import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { messageOf, RollcallError } from '../errors.js';

/** Makes a folder of the daemon's own with its mode, or takes over one that is there and ours. */
export function ensureFolder(path: string, mode: number, key: string): void {
	try {
		mkdirSync(path, { recursive: true, mode });
		const stat = statSync(path);
		const own = process.getuid?.() ?? stat.uid;
		if (stat.uid !== own) {
			throw new RollcallError(
				'configuration',
				`${key}: ${path} belongs to user ${stat.uid}, expected ${own} (the user that runs rollcall). Change its owner, or name another folder.`,
			);
		}
		if ((stat.mode & 0o777 & ~mode) !== 0) chmodSync(path, mode);
	} catch (cause) {
		if (cause instanceof RollcallError) throw cause;
		throw new RollcallError('configuration', `${key}: ${path} cannot be made: ${messageOf(cause)}.`, {}, { cause });
	}
}
