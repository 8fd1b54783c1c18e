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

const stickyBit = 0o1000;

/**
 * Refuses a folder in which another user could exchange what is there for something of their own. One that is missing is
 * made later, by the user whose it is.
 */
export function requireUnexchangeable(path: string, key: string): void {
	const stat = statSync(path, { throwIfNoEntry: false });
	if (!stat) return;
	const own = process.getuid?.() ?? stat.uid;
	const isWritableByOthers = (stat.mode & 0o022) !== 0 && (stat.mode & stickyBit) === 0;
	if ((stat.uid === own || stat.uid === 0) && !isWritableByOthers) return;
	throw new RollcallError(
		'configuration',
		`${key}: ${path} may be changed by others, who could put their own worker host there. It must belong to this user ` +
			'or root and be writable by its owner alone (or be sticky). Change its owner and mode, or name another folder.',
	);
}
