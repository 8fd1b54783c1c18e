import { readFileSync } from 'node:fs';

/** The name of a user of this host, given by name or number; null if there is none. */
export function userNamed(given: string): string | null {
	const rows = readFileSync('/etc/passwd', 'utf8')
		.split('\n')
		.map((line) => line.split(':'));
	const row = rows.find(([name, , id]) => (/^\d+$/.test(given) ? id === given : name === given));
	return row?.[0] ?? null;
}
