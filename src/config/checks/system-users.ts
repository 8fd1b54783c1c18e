/** The user of the control plane's unit. The names are those of systemd/sysusers.d/rollcall.conf. */
export const controlUser = 'rollcall';

/** Whom apps without `user:` run as under systemd: never the control plane's user, whose state and socket no app may reach. */
export const appUserDefault = 'rollcall-app';
