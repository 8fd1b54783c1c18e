/** Which apps a rollout of http_workers covers. */

/** One app, several, or all of them: `app` is null and `apps` left out. */
export interface Scope {
	app: string | null;
	/** More than one; `app` is null then. */
	apps?: readonly string[] | undefined;
}

/** null: all. */
export const appsOf = ({ app, apps }: Scope): readonly string[] | null => apps ?? (app === null ? null : [app]);

export function coversApp(scope: Scope, name: string): boolean {
	return appsOf(scope)?.includes(name) ?? true;
}

/** Whether both ask for the same apps. */
export function sameScope(one: Scope, other: Scope): boolean {
	return JSON.stringify(appsOf(one)) === JSON.stringify(appsOf(other));
}

/** Of a longer record the scope alone. */
export const scopeOf = ({ app, apps }: Scope): Scope => (apps ? { app, apps } : { app });

/** `web`, `web and api`, `web, api and jobs` */
export function namesOf(apps: readonly string[]): string {
	return apps.length < 2 ? apps.join() : `${apps.slice(0, -1).join(', ')} and ${apps.at(-1)}`;
}
