import { readFileSync } from 'node:fs';

/** null when the file is not there or may not be read: facts about a host are told as far as they can be had. */
export function readText(path: string): string | null {
	try {
		return readFileSync(path, 'utf8');
	} catch {
		return null;
	}
}
