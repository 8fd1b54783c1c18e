import { readFileSync } from 'node:fs';

/** Returns null if the file is missing or unreadable; callers report the facts that they can get. */
export function readText(path: string): string | null {
	try {
		return readFileSync(path, 'utf8');
	} catch {
		return null;
	}
}
