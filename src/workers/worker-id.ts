/** Worker ids are `<app>-<number>`; the app's name may itself hold dashes and digits. */
export function workerId(app: string, number: number): string {
	return `${app}-${number}`;
}

/** The app of a worker id; the id itself when it is none. */
export function appOf(id: string): string {
	return /^(?<app>.+)-\d+$/.exec(id)?.groups?.['app'] ?? id;
}

/** The number of a worker id; 0 when it is none. */
export function numberOf(id: string): number {
	return Number(/-(?<number>\d+)$/.exec(id)?.groups?.['number'] ?? 0);
}
