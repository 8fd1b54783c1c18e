/** Worker ids are `<app>-<number>`; the app's name may itself hold dashes and digits. */
export function workerId(app: string, number: number): string {
	return `${app}-${number}`;
}

/** As {@link workerId} makes them: an id becomes part of file names, and some come from a worker host, another user's program. */
const idPattern = /^(?<app>[a-z0-9-]{1,31})-[1-9]\d{0,8}$/;

export const isWorkerId = (text: string): boolean => idPattern.test(text);

/** The app of a worker id; the id itself when it is none. */
export function appOf(id: string): string {
	return idPattern.exec(id)?.groups?.['app'] ?? id;
}

/** The number of a worker id; 0 when it is none. */
export function numberOf(id: string): number {
	return Number(/-(?<number>\d+)$/.exec(id)?.groups?.['number'] ?? 0);
}
