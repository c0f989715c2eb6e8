extension Synonyms {
    /// What people say at home and in the street, for the words of ``english`` and ``chinese``.
    static let everyday = """
        second_thoughts cold_feet reconsider rethink regretted hasty impulse_buy got_carried_away > cancel return mind
        too_late still_time still_possible in_time_to > before within cancel
        fat_finger misclicked double_order same_thing_twice wrong_basket wrong_button > cancel order
        scrap ditch drop bin scratch_that forget_it never_mind > cancel
        half_of_it part_of_it just_one_of some_of > single items partial

        escalate take_it_further sort_me_out sort_this_out nobody_helps no_help unhelpful ignored ignoring no_reply nobody_answers \
        nobody_replies going_in_circles passed_around let_down disgusting disgrace shocking appalling terrible awful horrible worst \
        > complaint supervisor satisfied
        ombudsman lawyer sue court rights legal authority watchdog press > legal consumer complaint
        helpline customer_service customer_care call_centre call_center support someone_there anyone_there > chat phone hours
        bloke guy chap fellow lady dude > courier staff
        nasty mean cheeky hung_up hung_up_on snapped_at cursed threatened lied ran_off > behaviour complaint courier
        compensate_me make_it_right goodwill apology sorry > goodwill voucher solution

        snapped burst busted bust bashed battered wrecked ruined destroyed mangled rusty stained mouldy warped crumpled \
        squished shards bits fragments smithereens > damaged broken
        jug dish plate plates saucer pan pot lampshade lamp screen tabletop frame > damaged product pieces
        fell_out ripped_open torn_open opened_box open_box re-taped soaking dripping > damaged carton packaging
        small_mark tiny_scratch little_scratch only_a_scratch barely_visible > cosmetic partial refund

        died packed_in gave_out gave_up_the_ghost conked kaputt dud lemon smoking sparks buzzing noisy loud overheats overheating \
        stuck jammed loose wobbly wobbles frayed peeling faded shrank shrunk holes unravelling > fault faulty warranty
        month_five month_six week_three weeks_old six_months a_few_months couple_of_months > months warranty
        look_at_it take_a_look have_it_looked fixable salvage save_it get_it_going > repaired repair
        free_fix fix_for_free free_repair > warranty repaired free
        lost_the_receipt no_receipt threw_away_the_receipt without_receipt > proof receipt warranty

        lead leads wire wires cord > cable
        no_screws no_manual no_cable no_remote no_batteries no_lid no_charger no_feet no_handle without_screws without_batteries \
        short_of lacks left_out half_empty not_complete not_all_there > missing parts
        peg pegs plug_in washer washers rod rods leg legs castor castors wheel wheels panel panels board boards shelf_pins \
        allen_key tool tools bag_of_screws > parts missing
        can't_finish cant_finish cant_build half_built > assemble parts missing

        should_have_gone should_have_taken should_have_ordered should_have_got wish_i_had rather_the prefer_the go_up_a go_down_a \
        next_size > exchange exchanging size
        medium xl xxl xs > size
        swap_it change_it_for changing_it different_one other_one > exchange
        itchy baggy short_in_the tight_in_the tight_across squeezes rubs > exchange size

        hand_in_again bring_it_in return_it take_it_off_my_hands rid_of_it wrong_for_me clashes clash goes_with match_my not_my_style \
        not_for_me didnt_suit thicker_than smaller_than_i bigger_than_i looks_different looks_cheap poor_quality > return reason
        two_weeks three_weeks four_weeks a_month a_fortnight fortnight > days return
        no_box threw_away_the_box without_the_box without_tags cut_the_tags tags_off > labels packaging return complete
        printer print_a_label where_do_i_send where_to_send > return code pickup courier

        out_of_pocket short_changed reimbursed_yet money_yet credited credit_my hasnt_been_credited not_been_credited > refund arrives
        less_than_i_paid not_the_full wrong_amount short_by missing_from_my_refund only_got > refund deducted
        ages_ago weeks_ago long_ago > waiting time
        old_card expired_card new_card closed_my_card cancelled_card > card closed refund bank

        log_me_out kicks_me_out rejects_me keeps_rejecting wont_accept_my wont_open not_recognised not_recognized says_wrong > sign password locked
        hacked hacker stolen_account someone_using stranger fraud > account uses reset password
        new_phone lost_phone phone_stolen new_number changed_number different_number > phone number replace
        kid kids child teenager underage son daughter > minors parent
        who_sees who_gets_to_see third_party third_parties sell_my share_my pass_on safe_with_you where_i_live > data privacy sell couriers
        copy_of_my everything_you_have file_on_me > copy data export
        stop_bothering leave_me_alone pestering inbox bombard annoying_mails > stop advertising messages

        the_next_day a_day_later days_later day_after hours_later since_this_morning since_yesterday ordered_last_night \
        bought_last_week percent_off black_friday sale_started just_missed stings unlucky cheated annoyed_to_see > price fell difference
        rip_off ripped_off daylight_robbery > price complaint
        across_the_road down_the_road round_here identical exact_same same_model same_thing for_less charges_less costs_less \
        sells_it_for has_it_for do_the_same > match price shop
        haggle negotiate knock_something_off best_price lower_price > price match discount

        till cashier checkout
        string_of_letters letters_and_numbers bonus_code birthday_code newsletter_code the_code my_code > code voucher
        doesnt_do_anything doesnt_work_at expired_already not_valid isnt_valid > refused expiry code
        more_than_one several_at_once two_at_once double_up on_top_of > combining combined
        new_customer first_timer never_ordered never_bought welcome_offer welcome_discount > new customer voucher

        stars coins air_miles stamps > points
        worth_it what_are_they_worth turn_into spend_my redeem redeeming > points worth checkout
        lose_my_level drop_down demoted downgrade downgraded keep_my_level > level kept recalculated
        share_with family_account combine_accounts merge_accounts wife_and_i husband_and_i > transferred merged account
        gold_status higher_up_the_ladder next_step step_up how_close > level progress membership

        american_express diners jcb maestro unionpay google_pay apple_pay klarna bitcoin crypto cheque > methods card pay
        any_good take_my honour accepted_here > accepted methods
        dollars euros pounds currency exchange_rate > overseas yuan rate
        bounced keeps_failing wont_go_through cant_pay error_message card_refused didnt_take timed_out > payment fails
        charged_double two_payments paid_twice taken_twice > debited payment returned
        later_today pay_tomorrow how_long_to_pay havent_paid_yet not_paid_yet > unpaid minutes
        two_cards half_on partly_by > splitting combine

        let_him_pick pick_himself pick_something choose_himself choose_something spend_as > gift card
        left_on_it remaining how_much_is_left check_what_is > balance remaining
        tie bow fancy decorate decorated dressed_up parcelled_up boxed_nicely > wrap wrapping gift
        congratulations happy_birthday best_wishes get_well thinking_of_you a_line from_me signed_from > message card
        straight_to_her straight_to_him straight_to_them direct_to ship_to_a_friend > recipient gift

        ran_out all_gone none_left nothing_left snapped_up cant_be_picked cant_add cant_choose not_clickable > sold stock
        gone_for_good never_again not_made_any_more phased_out no_longer_made > discontinued stock
        next_batch new_batch fresh_supply more_coming coming_in > back restock
        give_me_a_shout drop_me_a_line ring_me_when ping_when > alert
        in_my_basket in_my_cart left_my_cart emptied someone_else_buy > basket reserved held

        inch inches inseam hips shoulders arm_length leg_length wide narrow broad > measure size
        wear_a_ten european_size us_size uk_size asian > labels size fit
        big_feet wide_feet narrow_feet insole > foot size shoes

        powerful_enough strong_enough enough_power enough_juice cope handle_it underpowered slow_charging takes_ages > W charger slowly
        console switch_console drone camera speaker toothbrush shaver > device devices
        cable_for lead_for wire_for connect > cables cable
        case_on through_the_case with_a_case magsafe > wireless case charging
        prong prongs three_pin two_pin earth > plug type
        blow_up burn_out fuse explode > voltage wrong
        work_in_my work_abroad run_in run_on use_it_in take_it_to taking_it_to living_in moving_to > voltage plug abroad

        club school class event party conference hotel restaurant > bulk business
        hundred hundreds dozens thousand fifty sixty eighty twenty > pieces
        badge slogan motto branded branding custom_printed our_own_design > logo printing
        what_would_you_charge price_for_many volume big_quantity large_amount > quote bulk

        bring brought bringing brings drop_it_off drop_off dropped_off bring_round bring_over come_round > deliver delivery
        turn_up turned_up show_up showed_up > arrive arrived
        in_time on_time for_christmas for_my_birthday before_my before_the_weekend before_saturday need_it_for > arrives expected day
        this_afternoon this_morning noon midday lunchtime > paid before dispatch
        speed_up sooner faster quicker hurry > express faster
        ages forever taking_so_long what_is_taking dragging > late waiting
        dinner supper lunch breakfast bedtime after_dark once_im_home when_im_home > evening slot
        festival labour_day national_day valentines thanksgiving boxing_day > holidays

        got_to has_got_to is_at currently whereabouts last_seen on_the_map > tracking status
        nothing_since silent no_news not_budged hasnt_budged not_budging sitting_in sitting_at > movement scan
        nothing_came it_did says_it_did empty_handed not_with_me never_saw never_seen no_trace vanished_into > received lost delivered
        porter caretaker security_guard front_desk > reception guard gate
        grabbed walked_off made_off burglar from_my_hallway from_the_hallway from_outside > lost received

        mums_street my_mums old_house previous_address last_address ex > address wrong
        new_house new_flat new_home moved_out moving_house > address moving
        send_it_to_work my_workplace parents_house different_place another_address other_address > address redirect

        kiosk newsagent petrol_station supermarket grocery bakery post_office nearby grab swing_by stop_by collect_from > pickup point collect
        cant_get_there cant_make_it next_week until_monday > kept extend pickup
        out_all_day nobody_in no_one_in not_in no_one_home nobody_home nobody_at_home while_im_out on_holiday on_vacation \
        rang doorbell knock knocked > home courier attempts
        papers passport_number driving_licence documents > id photo
        telly television tv laptop jewellery watch > value

        first_floor second_floor third_floor third fourth fifth sixth seventh eighth ninth tenth storeys > floor
        get_it_up lug_it two_people two_men strong_men up_to_my > carrying floor lift
        old_mattress old_fridge take_the_old junk > old furniture away

        government state treasury owe owed charged_again extra_bill surprise_bill > tax duty customs
        customs_office held_up seized stopped_at > customs
        spare_pack pack packs accumulators > battery batteries
        by_air airmail air_mail suitcase hand_luggage carry_on > aircraft air
        puffed puffy fat round_like > swollen

        清空 抹掉 删光 删干净 走人 退出 不来了 > 注销 删除
        成渣 烂了 稀烂 稀碎 粉碎 散架 折了 断了 歪了 瘪了 缺一块 掉了一块 漏了 洒了 洒出来 > 破损
        会计 财务 出纳 做帐 催 税务 > 发票
        不对 老说错 说我错 登不进去 打不开 被踢 > 密码 登录
        被盗 盗号 别人登 不是我登 > 账户 密码
        等了一周 等了好久 还是零 没收到钱 没见钱 不见钱 一分没 钱去哪 > 退款 到账
        少退了 退少了 没退全 怎么少了 > 退款 扣除
        漏电 冒烟 异响 噪音 响声 烧了 糊了 卡住了 没电 不充电 掉电 发烫 很烫 异味 不出 不吸 不喷 不制 不通电 没动静 跳闸 \
        > 故障 保修 维修
        还能救 能救 抢救 救活 弄活 拿去修 看一下 > 维修
        找你们 你们管 管吗 管不管 负责 > 保修 客服 处理
        掉地 砸 砸了 跌 磕了 淋雨 狗咬 猫抓 > 摔落 人为 不保修
        樱桃 车厘子 草莓 葡萄 芒果 榴莲 荔枝 奶酪 牛奶 酸奶 鲜花 虾 蟹 粽子 饺子 > 冷藏 鲜果
        烂掉 烂 坏果 发黑 长毛 酸了 温的 热的 不冰 > 变质 冷藏 温度
        哪家公司 什么公司 什么快递 哪个快递 哪种快递 走什么 用什么寄 > 快递公司
        周一 周二 周三 周四 周五 周六 周日 周末 星期天 礼拜天 > 派送 周
        赶上 用上 之前到 前到 来得及用 等着用 生日前 节前 > 送达 时间 加急
        什么时候到 几号到 啥时候到 到哪天 > 送达 时间
        写着已经 说已经 显示已经 已经给 给我了 两手空空 翻遍 找遍 没影子 毛都没 > 签收 没收到 丢失
        放错 送错门 送错地方 别人拿走 > 签收 没收到
        不在本地 在外地 外地 回老家 外出 住院 上课 加班 开会 晚上才 下班才 > 不在家 派送
        再来 再送 重新送 晚点再 明天再 > 派送 改日期 再送
        便利店 小超市 超市 楼下 小卖部 菜鸟 > 自提点 门店
        林芝 那曲 昌都 阿里地区 > 西藏 偏远
        和田 阿克苏 吐鲁番 哈密 石河子 > 新疆 偏远
        格尔木 海东 玉树 > 青海 偏远
        鄂尔多斯 呼伦贝尔 锡林郭勒 > 内蒙古 偏远
        海南 三亚 舟山 > 海岛
        两趟 两批 分两 先到 一半到 只到 另外那个 另一个呢 还有一个 > 分批 几个包裹
        哪一站 走哪 走到哪 哪个城市 到哪儿 到了没 > 物流 查询
        慢慢付 以后付 先用后付 分着付 下个月付 分开付 月月 > 分期
        写单位 写公司 写谁 填单位 填公司 > 抬头 发票
        那一档 高一档 升上去 升级 往上升 最高级 怎么升 > 等级 升级 会员
        掉级 降级 保级 降下来 > 等级 降级
        外国的 外国卡 国外的卡 外卡 外币 > 境外 Visa
        没上市 还没出 没出来 首发 先订 抢先 > 预售
        先给 先给了 交了 付了 给了 > 定金 预售
        要回来 拿回来 退我 能退 还能退 > 退还 退
        一样的东西 一模一样 少二十 少十块 便宜十 便宜二十 卖得便宜 给不给 > 比价 同款
        刚买就 买完就 前天买 昨天买 才买 > 降价 差价 价格保护
        腰 臀 肩 袖 裤长 尺 腿长 胳膊 > 尺码 腰围 测量
        没得选 选不到 没法选 变灰 抢没了 > 售完 库存
        什么时候再有 啥时候有 何时有 有货吗 还有没 > 到货 补货 提醒
        顶钱 顶一部分 折钱 换点钱 卖给你们 > 抵扣 估价 以旧换新
        字母 那串 代码 打进去 填进去 > 券码
        没反应 没用 不管用 不好用 > 无法使用 失败
        生日 过生日 > 生日券 礼品
        多买 囤 凑 > 满
        送货费 跑腿费 小东西 > 运费 标准配送
        几斤重 很重 太重 很大 太大件 > 大件 公斤
        """
}
